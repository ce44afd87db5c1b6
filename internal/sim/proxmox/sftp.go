package proxmox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// maxSnippet bounds a file that is written.
const maxSnippet = 4 << 20

// ServeSFTP answers SSH connections of one user with one key until the listener is
// closed. As with sshd's ForceCommand internal-sftp they get SFTP and no shell, and see
// the folders snippets/ of the storages that are directories.
func (s *Server) ServeSFTP(l net.Listener, host ssh.Signer, user string, key ssh.PublicKey) error {
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(c ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
			if c.User() != user || !bytes.Equal(offered.Marshal(), key.Marshal()) {
				return nil, fmt.Errorf("user %q has another key", c.User())
			}
			return nil, nil
		},
	}
	config.AddHostKey(host)
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go s.serveSSH(conn, config)
	}
}

func (s *Server) serveSSH(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return // the client was told
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		if offered.ChannelType() != "session" {
			_ = offered.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go func() {
			defer channel.Close()
			for r := range requests {
				ok := r.Type == "subsystem" && strings.HasSuffix(string(r.Payload), "sftp")
				_ = r.Reply(ok, nil)
				if !ok {
					continue
				}
				files := &files{s}
				server := sftp.NewRequestServer(channel, sftp.Handlers{FileGet: files, FilePut: files, FileCmd: files, FileList: files})
				_ = server.Serve() // ends with the client
				return
			}
		}()
	}
}

// files are the snippets as a file system.
type files struct{ s *Server }

// volumeID returns which snippet a path is, and whether it is the folder of snippets.
func (f *files) volumeID(name string) (id string, folder bool, err error) {
	for _, storage := range f.s.storages {
		if storage.Path == "" || !slices.Contains(storage.Content, "snippets") {
			continue
		}
		base := path.Join(storage.Path, "snippets")
		switch {
		case name == base:
			return "", true, nil
		case path.Dir(name) == base:
			return storage.Name + ":snippets/" + path.Base(name), false, nil
		}
	}
	return "", false, os.ErrPermission
}

func (f *files) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	id, folder, err := f.volumeID(r.Filepath)
	if err != nil || folder {
		return nil, os.ErrPermission
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	v := f.s.volumes[id]
	if v == nil {
		return nil, os.ErrNotExist
	}
	return bytes.NewReader(slices.Clone(v.data)), nil
}

func (f *files) Filewrite(r *sftp.Request) (io.WriterAt, error) {
	id, folder, err := f.volumeID(r.Filepath)
	if err != nil || folder {
		return nil, os.ErrPermission
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	v := f.s.volumes[id]
	if v == nil {
		v = &volume{content: "snippets", format: "snippet", mode: 0o644}
		f.s.volumes[id] = v
	}
	if r.Pflags().Trunc {
		v.data, v.size = nil, 0
	}
	return &writer{f.s, v}, nil
}

// OpenFile is for clients that open a file to read and write, as this provider's does.
func (f *files) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	w, err := f.Filewrite(r)
	if err != nil {
		return nil, err
	}
	return w.(*writer), nil
}

func (f *files) Filecmd(r *sftp.Request) error {
	id, folder, err := f.volumeID(r.Filepath)
	if err != nil {
		return err
	}
	if folder || r.Method != "Setstat" {
		return os.ErrPermission
	}
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	v := f.s.volumes[id]
	if v == nil {
		return os.ErrNotExist
	}
	if r.AttrFlags().Permissions {
		v.mode = uint32(r.Attributes().FileMode().Perm())
	}
	return nil
}

func (f *files) Filelist(r *sftp.Request) (sftp.ListerAt, error) {
	id, folder, err := f.volumeID(r.Filepath)
	if err != nil {
		return nil, err
	}
	if r.Method != "Stat" {
		return nil, os.ErrPermission
	}
	info := entry{name: path.Base(r.Filepath), mode: os.ModeDir | 0o755}
	if !folder {
		f.s.mu.Lock()
		defer f.s.mu.Unlock()
		v := f.s.volumes[id]
		if v == nil {
			return nil, os.ErrNotExist
		}
		info.size, info.mode = v.size, os.FileMode(v.mode)
	}
	return info, nil
}

// writer writes into a snippet.
type writer struct {
	s *Server
	v *volume
}

func (w *writer) WriteAt(p []byte, offset int64) (int, error) {
	end := offset + int64(len(p))
	if offset < 0 || end > maxSnippet {
		return 0, fmt.Errorf("simulated: a snippet has %d bytes at most", maxSnippet)
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if grow := end - int64(len(w.v.data)); grow > 0 {
		w.v.data = append(w.v.data, make([]byte, grow)...)
	}
	w.v.size = int64(len(w.v.data))
	return copy(w.v.data[offset:], p), nil
}

func (w *writer) ReadAt(p []byte, offset int64) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return bytes.NewReader(w.v.data).ReadAt(p, offset)
}

// entry is a file or folder, and the list of it alone.
type entry struct {
	name string
	size int64
	mode os.FileMode
}

func (e entry) Name() string       { return e.name }
func (e entry) Size() int64        { return e.size }
func (e entry) Mode() os.FileMode  { return e.mode }
func (e entry) ModTime() time.Time { return time.Time{} }
func (e entry) IsDir() bool        { return e.mode.IsDir() }
func (e entry) Sys() any           { return nil }

func (e entry) ListAt(list []os.FileInfo, offset int64) (int, error) {
	if offset > 0 || len(list) == 0 {
		return 0, io.EOF
	}
	list[0] = e
	return 1, io.EOF
}
