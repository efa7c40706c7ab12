package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// twoLearners is a household in which files learns, too.
func twoLearners(first, second options) household {
	h := watched(first, nil, nil)
	h.Plugins["second"] = options{"mode": "learn"}
	for key, value := range second {
		h.Plugins["second"][key] = value
	}
	h.Routes[2] = route{Host: "files", Middleware: "second", TLS: "verified"}
	return h
}

func TestAFileHasOneStoreAndAStoreOneFile(t *testing.T) {
	for _, row := range []struct {
		name   string
		second func(own, path string) options
		faulty bool
	}{
		{"one file for two stores", func(own, path string) options { return options{"stateFile": path, "store": own} }, true},
		{"one file for two stores, written otherwise", func(own, path string) options {
			return options{"stateFile": filepath.Dir(path) + "/../" + filepath.Base(filepath.Dir(path)) + "//./state.json", "store": own}
		}, true},
		{"two files for one store", func(own, path string) options { return options{"stateFile": path + "2"} }, true},
		{"one file for two learners of one store", func(own, path string) options { return options{"stateFile": path, "ttl": "1h"} }, false},
		{"one file for a learner, and another without", func(own, path string) options { return options{} }, false},
		{"two files for two stores", func(own, path string) options { return options{"stateFile": path + "2", "store": own} }, false},
		{"another store without a file", func(own, path string) options { return options{"store": own} }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			path := stateFile(t)
			h := twoLearners(options{"stateFile": path}, row.second(storeOf(t, "another"), path))
			h.live(t)
			answers := map[string]string{}
			for _, host := range []string{"ha", "files"} {
				answers[host] = status(client(t, "203.0.113.7", &home.Phone), host)
			}
			switch {
			case !row.faulty && (answers["ha"] != "200" || answers["files"] != "200"):
				t.Errorf("got %v, want both learners", answers)
			case row.faulty && answers["ha"]+answers["files"] != "200404" && answers["ha"]+answers["files"] != "404200":
				t.Errorf("got %v, want one of both learners", answers)
			}
			for host, answer := range answers {
				if answer == "404" && complaints(host, "learn@file", "second@file", "stateFile: invalid value", filepath.Dir(path)) == 0 {
					t.Errorf("no line of Traefik's log tells about %s, and names both middlewares", host)
				}
			}
			twoLearners(options{"stateFile": path + "3"}, options{"stateFile": path + "3"}).live(t)
			walk(t, step{"203.0.113.8", &home.Phone, "ha", "200"}, step{"203.0.113.8", &home.Phone, "files", "200"}, step{"203.0.113.8", nil, "photos", "200"})
		})
	}
}

func TestANewcomerTakesNoOtherStoresFile(t *testing.T) {
	path := stateFile(t)
	h := twoLearners(options{"stateFile": path}, nil)
	h.live(t)
	walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"})
	for reload := range 6 {
		h.Plugins["second"] = options{"mode": "learn", "store": storeOf(t, fmt.Sprint("another", reload)), "stateFile": path}
		h.live(t)
		walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", &home.Phone, "files", "404"}, step{"203.0.113.7", nil, "photos", "200"})
	}
	if got := readState(t, path, storeOf(t, "default")).ips(); got != "203.0.113.7/32" {
		t.Errorf("the file has %s", got)
	}
}

func TestAFolderThatCantBeWrittenClosesTheLearner(t *testing.T) {
	for _, row := range []struct{ name, path, why string }{
		{"a folder that is missing", filepath.Join(home.Dir, "none", "state.json"), "no such file or directory"},
		{"a file for a folder", filepath.Join(home.Dir, "ca.pem", "state.json"), "not a directory"},
		{"a folder that nobody can write", "/proc/state.json", "/proc/state.json"},
		{"no more than a folder", home.Dir, "is a directory"},
	} {
		t.Run(row.name, func(t *testing.T) {
			plain(options{"stateFile": row.path}, nil).live(t)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "404"}, step{"203.0.113.7", nil, "photos", "403"})
			if complaints("ha", "learn@file", "stateFile: invalid value", row.path, row.why) == 0 {
				t.Errorf("Traefik's log doesn't tell about it")
			}
			plain(options{"stateFile": stateFile(t)}, nil).live(t)
			walk(t, step{"203.0.113.7", &home.Phone, "ha", "200"}, step{"203.0.113.7", nil, "photos", "200"})
		})
	}
}

func TestAWriteThatFailsFailsNoRequest(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	path, store := filepath.Join(folder, "state.json"), storeOf(t, "default")
	watched(options{"stateFile": path}, nil, nil).live(t)
	walk(t, step{"203.0.113.1", &home.Phone, "ha", "200"})
	if err := os.Rename(folder, folder+" gone"); err != nil {
		t.Fatal(err)
	}
	page := owner(t, false)
	walk(t, step{"203.0.113.2", &home.Phone, "ha", "200"}, step{"203.0.113.3", &home.Phone, "ha", "200"}, step{"203.0.113.3", nil, "photos", "200"})
	if got := send(t, page, http.MethodDelete, "/grants?ip=203.0.113.2", ""); got.Status != http.StatusOK {
		t.Errorf("revoking: got %d", got.Status)
	}
	walk(t, step{"203.0.113.2", nil, "photos", "403"})
	if got := logged(t, "msg=failed", "stateFile=", path, "reason="); got != 1 {
		t.Errorf("got %d lines about it, want 1", got)
	}
	if got := send(t, page, http.MethodGet, "/", "").Body; !strings.Contains(got, "The state can&#39;t be written") {
		t.Errorf("the page doesn't tell: %s", got)
	}
	failures := fmt.Sprintf("mtlsallowlist_state_file_failures_total{store=%q} 3\n", store)
	if got := send(t, page, http.MethodGet, "/metrics", "").Body; !strings.Contains(got, failures) {
		t.Errorf("the metrics lack %s: %s", failures, got)
	}
	if err := os.Rename(folder+" gone", folder); err != nil {
		t.Fatal(err)
	}
	if got := readState(t, path, store).ips(); got != "203.0.113.1/32" {
		t.Errorf("the file has %s", got)
	}
	walk(t, step{"203.0.113.4", &home.Phone, "ha", "200"})
	if got := readState(t, path, store).ips(); got != "203.0.113.4/32 203.0.113.3/32 203.0.113.1/32" {
		t.Errorf("the next change left %s", got)
	}
	if got := send(t, page, http.MethodGet, "/", "").Body; strings.Contains(got, "be written") {
		t.Errorf("the page still tells: %s", got)
	}
}

// A disk fails while Traefik runs.
type disk struct {
	name               string
	mount, fails, mend func(folder string) error
}

// disks are a folder that goes, and, where the tests may mount one, a disk that is full.
func disks() []disk {
	all := []disk{{
		"a folder that is gone",
		func(folder string) error { return nil },
		func(folder string) error { return os.Rename(folder, folder+" gone") },
		func(folder string) error { return os.Rename(folder+" gone", folder) },
	}}
	if os.Geteuid() != 0 {
		return all
	}
	return append(all, disk{
		"a disk that is full",
		func(folder string) error {
			return exec.Command("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder).Run()
		},
		func(folder string) error {
			err := os.WriteFile(filepath.Join(folder, "filler"), make([]byte, 1<<20), 0o600)
			if !errors.Is(err, syscall.ENOSPC) {
				return fmt.Errorf("got %w, want no space", err)
			}
			return nil
		},
		func(folder string) error { return os.Remove(filepath.Join(folder, "filler")) },
	})
}

func TestADiskThatFailsClosesNoLearnerAtAReload(t *testing.T) {
	for _, disk := range disks() {
		t.Run(disk.name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "folder")
			if err := errors.Join(os.Mkdir(folder, 0o700), disk.mount(folder)); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = exec.Command("umount", folder).Run() }() // if it was mounted
			path, store := filepath.Join(folder, "state.json"), storeOf(t, "default")
			h := watched(options{"stateFile": path, "maxIPs": 100}, nil, nil)
			h.live(t)
			walk(t, step{"203.0.113.1", &home.Phone, "ha", "200"})
			if err := disk.fails(folder); err != nil {
				t.Fatal(err)
			}
			failing := func() bool {
				return strings.Contains(send(t, owner(t, false), http.MethodGet, "/", "").Body, "The state can&#39;t be written")
			}
			want, last := "203.0.113.1/32", 1
			learn := func() (from string) {
				last++
				from = fmt.Sprint("203.0.113.", last)
				walk(t, step{from, &home.Phone, "ha", "200"})
				want = from + "/32 " + want
				return from
			}
			kept := want
			for learn(); !failing() && last < 50; learn() { // what is left of the file's last block still takes some
				kept = want
			}
			for reload := range 3 {
				h.Plugins["learn"]["maxIPs"] = 100 + reload
				h.live(t)
				from := learn()
				walk(t, step{"203.0.113.1", nil, "photos", "200"}, step{from, nil, "photos", "200"})
			}
			if got := logged(t, "msg=failed", "stateFile=", path, "reason="); got != 1 {
				t.Errorf("got %d lines about it, want 1", got)
			}
			if got := complaints("ha", "learn@file", path); got != 0 {
				t.Errorf("got %d errors of the router, want none", got)
			}
			if !failing() {
				t.Error("the page doesn't tell")
			}
			if err := disk.mend(folder); err != nil {
				t.Fatal(err)
			}
			if got := readState(t, path, store).ips(); got != kept {
				t.Errorf("the file has %s, want %s", got, kept)
			}
			learn()
			if got := readState(t, path, store).ips(); got != want {
				t.Errorf("the next change left %s, want %s", got, want)
			}
			if failing() {
				t.Error("the page still tells")
			}
			killed(t)
			if got := listed(t, owner(t, false), "/grants").in(store); got != want {
				t.Errorf("after a restart: got %s, want %s", got, want)
			}
			plain(nil, nil).live(t) // lets go of the disk
		})
	}
}
