package option

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheFolderByDefaultMayBeALinkOrNotThere(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, folder, resolved string }{
		{"a folder", dir, dir},
		{"a link", link, dir},
		{"nothing", filepath.Join(dir, "nowhere"), filepath.Join(dir, "nowhere")},
	} {
		folder, resolved, err := resolvedFolder(row.folder, false)
		if folder != row.folder || resolved != row.resolved || err != nil {
			t.Errorf("%s: got %s, %s, %v, want %s, %s", row.name, folder, resolved, err, row.folder, row.resolved)
		}
	}
}

func TestHowLargeAFileMayBe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, row := range []struct {
		size int64
		want string
	}{
		{0, "it is empty"},
		{1, ""},
		{1 << 20, ""},
		{1<<20 + 1, "it is larger than 1048576 bytes"},
		{-1, "no such file or directory"}, // removed since it was found
	} {
		err := os.WriteFile(path, nil, 0o600)
		if row.size >= 0 && err == nil {
			err = os.Truncate(path, row.size)
		} else if err == nil {
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := readRegular(path)
		if row.want == "" && (err != nil || int64(len(data)) != row.size) || row.want != "" && (err == nil || err.Error() != row.want || data != nil) {
			t.Errorf("%d bytes: got %d, %v, want %s", row.size, len(data), err, row.want)
		}
	}
}

func TestWhatLooksLikeATokenAlone(t *testing.T) {
	t.Setenv(secretsNamed, t.TempDir())
	path := filepath.Join(os.Getenv(secretsNamed), "password")
	for _, row := range []struct {
		text    string
		isToken bool
	}{
		{"eyJhbGciOiJSUzI1NiJ9.a.b", true},
		{"eyJhbGciOiJSUzI1NiJ9", false},
		{"eyJ.a.b.c", false},
		{"correct.horse.battery", false},
		{"correct eyJ.horse.battery", false},
	} {
		if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPassword(path)
		if isToken := err != nil && strings.Contains(err.Error(), "not a token"); isToken != row.isToken || !isToken && got != row.text {
			t.Errorf("%s: got %q, %v, want a token: %t", row.text, got, err, row.isToken)
		}
	}
}
