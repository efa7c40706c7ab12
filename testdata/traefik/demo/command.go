package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// A command is a line for people to try in another terminal.
type command struct {
	comment string
	line    string
	want    string // the HTTP status, or certificateRequired
}

// certificateRequired says that the handshake fails because there is no certificate.
const certificateRequired = "certificate required"

// commands are in an order in which each comes out as its comment says. Paths are relative to the folder root.
func (h *household) commands(root string) ([]command, error) {
	dir, err := filepath.Rel(root, h.dir)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(h.traefik.Addr(direct))
	if err != nil {
		return nil, err
	}
	curl := func(host, certificate string) string {
		command := "curl -i --cacert " + filepath.Join(dir, "ca.pem")
		if certificate != "" {
			command += " -E " + filepath.Join(dir, certificate+".pem")
		}
		return fmt.Sprintf("%s https://%s.%s:%s", command, host, domain, port)
	}
	// Over HTTP/2 some curls don't tell why the handshake failed.
	refused := strings.Replace(curl("ha", ""), "curl -i", "curl -i --http1.1", 1)
	return []command{
		{"Photos is shut: 403.", curl("photos", ""), "403"},
		{"Home Assistant, without a certificate: the TLS handshake fails (\"certificate required\").", refused, certificateRequired},
		{"Home Assistant, with Bob's certificate: 200.", curl("ha", bob), "200"},
		{"Now Photos is open, without a certificate: 200.", curl("photos", ""), "200"},
		{"Files isn't, for it is Alice's alone: 403.", curl("files", ""), "403"},
		{"Home Assistant, with Alice's certificate: 200.", curl("ha", alice), "200"},
		{"Now Files is open, too: 200.", curl("files", ""), "200"},
		{"Who is on the list, as JSON: 200.", curl("allowlist", alice) + "/grants", "200"},
	}, nil
}

// invite shows how to try it, and stays until ctx ends. What the plugin logs meanwhile is shown.
func (h *household) invite(ctx context.Context, c *console, root string) error {
	commands, err := h.commands(root)
	if err != nil {
		return err
	}
	dir, err := filepath.Rel(root, h.dir)
	if err != nil {
		return err
	}
	c.title("Now you: Traefik stays up until you press Ctrl-C here.")
	c.text("In another terminal, in the top folder of the repository, one after the other:")
	for _, each := range commands {
		c.verbatim("")
		c.verbatim("  " + c.paint(faint, each.comment))
		c.verbatim("  " + each.line)
	}
	c.verbatim("")
	c.text("All of this comes from 127.0.0.1, for everybody on this machine has that address. The plugin doesn't learn " +
		"such private addresses: Home Assistant would answer, the log would say \"not learned\", and Photos would stay " +
		"shut. Only so that you can try it here, this entry point has a store of its own with allowPrivate: true. " +
		"Don't set that at home: behind Docker, say, all the world may seem to come from one private address.")
	c.verbatim("")
	c.text("In a browser on this machine: import the CA and a phone's certificate, then open the same addresses.")
	c.field("CA", filepath.Join(dir, "ca.pem"))
	c.field("phones", fmt.Sprintf("%s and %s, password: %s", filepath.Join(dir, alice+".p12"), filepath.Join(dir, bob+".p12"), password))
	c.text("Remove both from the browser afterwards.")
	_, port, err := net.SplitHostPort(h.traefik.Addr(direct))
	if err != nil {
		return err
	}
	c.field("page", fmt.Sprintf("https://allowlist.%s:%s/ is the status page", domain, port))
	c.verbatim("")
	c.field("config", filepath.Join(dir, "dynamic", "dynamic.yml"))
	c.field("log", filepath.Join(dir, logFile)+", of which the plugin's own lines are also shown here:")
	h.log.follow(func(line string) { c.field("log", line) })
	<-ctx.Done()
	h.log.follow(nil)
	return nil
}
