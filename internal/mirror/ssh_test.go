package mirror_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"lumacore.dev/lumacore/internal/mirror"
)

// serveSSH serves the repositories of a folder over SSH, to whoever has a key, and returns its
// address and its own public key.
func (w *world) serveSSH(authorized ssh.PublicKey) (address string, host ssh.PublicKey) {
	w.Helper()
	file, _ := w.newKey("host")
	data, err := os.ReadFile(file)
	w.must(err)
	signer, err := ssh.ParsePrivateKey(data)
	w.must(err)
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), authorized.Marshal()) {
			return nil, errors.New("another key")
		}
		return nil, nil
	}}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go w.session(conn, config)
		}
	}()
	return listener.Addr().String(), signer.PublicKey()
}

// session runs git for one connection.
func (w *world) session(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			var command struct{ Line string }
			if r.Type != "exec" || ssh.Unmarshal(r.Payload, &command) != nil {
				_ = r.Reply(r.Type == "env", nil)
				continue
			}
			_ = r.Reply(true, nil)
			program, rest, _ := strings.Cut(command.Line, " ")
			cmd := exec.Command(program, filepath.Join(w.server, filepath.Base(strings.Trim(rest, "'"))))
			cmd.Stdin, cmd.Stdout, cmd.Stderr = channel, channel, channel.Stderr()
			status := struct{ Code uint32 }{0}
			if cmd.Run() != nil {
				status.Code = 1
			}
			_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(status))
			channel.Close()
		}
	}
}

// TestSSH: a mirror over SSH with a deploy key; a server whose key is not known, and a key
// that the server does not take, are told.
func TestSSH(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	deploy, public := w.newKey("deploy key's file") // with what a shell would stumble over
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(public))
	w.must(err)
	address, host := w.serveSSH(key)
	known := filepath.Join(t.TempDir(), "known hosts")
	_, port, err := net.SplitHostPort(address)
	w.must(err)
	w.put(known, "[127.0.0.1]:"+port+" "+string(ssh.MarshalAuthorizedKey(host)))
	w.to.URL = "ssh://git@" + address + "/public.git"
	w.to.Access = mirror.Access{SSHKeyFile: deploy, KnownHostsFile: known}
	w.pushed()
	if v := w.verify(); v.Result != mirror.Clean || v.Commits != 1 {
		t.Errorf("verify: %+v", v)
	}
	w.write("apps/web/more.yaml", "a: 1\n")
	w.commit("feat: more")

	other, _ := w.newKey("other")
	for name, tt := range map[string]struct {
		access mirror.Access
		want   string
	}{
		"other key": {mirror.Access{SSHKeyFile: other, KnownHostsFile: known}, "the server refuses the credential for ssh://"},
		"unknown":   {mirror.Access{SSHKeyFile: deploy, KnownHostsFile: filepath.Join(t.TempDir(), "none")}, "the SSH key of the server is not known"},
		"other server": {mirror.Access{SSHKeyFile: deploy, KnownHostsFile: func() string {
			f := filepath.Join(t.TempDir(), "changed")
			w.put(f, "[127.0.0.1]:"+port+" "+public+"\n")
			return f
		}()}, "the SSH key of the server is not known"},
	} {
		to := w.to
		to.Access = tt.access
		_, err := mirror.Sync(t.Context(), w.source(), to, w.options())
		var trouble *mirror.Trouble
		if !errors.As(err, &trouble) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.pushed()
}
