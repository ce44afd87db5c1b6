package proxmox

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"path"
	"slices"
	"strings"
)

// imageSize is the size of the disk in every image: what an Ubuntu cloud image has.
const imageSize = 3584 << 20

// volume is a file or a disk in a storage.
type volume struct {
	content string // import, snippets or images
	format  string
	size    int64
	owner   int    // the machine of a disk
	data    []byte // of a snippet
	mode    uint32 // of a snippet
}

// place returns the storage, if it is there and takes such content.
func (s *Server) place(name, content string) (*Storage, error) {
	storage := s.storages[name]
	if storage == nil {
		return nil, refuse("storage '%s' does not exist", name)
	}
	if content != "" && !slices.Contains(storage.Content, content) {
		return nil, refuse("storage '%s' does not support content-type '%s'", name, content)
	}
	return storage, nil
}

// room fails when so many bytes more do not fit.
func (s *Server) room(storage *Storage, size int64) error {
	used := int64(0)
	for id, v := range s.volumes {
		if strings.HasPrefix(id, storage.Name+":") {
			used += v.size
		}
	}
	if used+size > storage.Capacity {
		return refuse("storage '%s' is full: %d bytes are needed, %d are free: No space left on device", storage.Name, size, max(0, storage.Capacity-used))
	}
	return nil
}

func (s *Server) getStorage(r *http.Request) (any, error) {
	storage, err := s.place(r.PathValue("storage"), "")
	if err != nil {
		return nil, err
	}
	kind := "lvmthin"
	data := map[string]any{"storage": storage.Name, "content": strings.Join(storage.Content, ",")}
	if storage.Path != "" {
		kind, data["path"] = "dir", storage.Path
	}
	data["type"] = kind
	return data, nil
}

func (s *Server) queryURL(r *http.Request) (any, error) {
	url := r.Form.Get("url")
	image, ok := s.config.Images[url]
	if !ok {
		return nil, refuse("invalid server response: '404 Not Found'")
	}
	return map[string]any{"filename": path.Base(url), "size": len(image), "mimetype": "application/octet-stream"}, nil
}

func (s *Server) downloadURL(r *http.Request) (any, error) {
	content, name, url := r.Form.Get("content"), r.Form.Get("filename"), r.Form.Get("url")
	storage, err := s.place(r.PathValue("storage"), content)
	if err != nil {
		return nil, err
	}
	if ext := path.Ext(name); content == "import" && ext != ".qcow2" && ext != ".raw" && ext != ".vmdk" {
		return nil, failure{http.StatusBadRequest, "Parameter verification failed. filename: invalid filename or wrong extension"}
	}
	id := storage.Name + ":" + content + "/" + name
	if s.volumes[id] != nil {
		return nil, refuse("refusing to override existing file '%s'", name)
	}
	return s.begin("download", name, func() error {
		image, ok := s.config.Images[url]
		if !ok {
			return refuse("download failed: '404 Not Found'")
		}
		if algorithm := r.Form.Get("checksum-algorithm"); algorithm != "" {
			got, want := hex.EncodeToString(sum(image)), r.Form.Get("checksum")
			if algorithm != "sha256" {
				return refuse("simulated: only sha256 can be checked, not '%s'", algorithm)
			}
			if got != want {
				return refuse("checksum mismatch: got '%s' != expect '%s'", got, want)
			}
		}
		if err := s.room(storage, int64(len(image))); err != nil {
			return err
		}
		s.volumes[id] = &volume{content: content, format: strings.TrimPrefix(path.Ext(name), "."), size: int64(len(image))}
		return nil
	}), nil
}

func sum(data []byte) []byte {
	digest := sha256.Sum256(data)
	return digest[:]
}

func (s *Server) listContent(r *http.Request) (any, error) {
	storage, err := s.place(r.PathValue("storage"), "")
	if err != nil {
		return nil, err
	}
	content := r.Form.Get("content")
	files := []any{}
	for id, v := range s.volumes {
		if strings.HasPrefix(id, storage.Name+":") && (content == "" || content == v.content) {
			files = append(files, map[string]any{"volid": id, "content": v.content, "format": v.format, "size": v.size})
		}
	}
	return files, nil
}

func (s *Server) getContent(r *http.Request) (any, error) {
	id := r.PathValue("volume")
	v := s.volumes[id]
	if v == nil {
		return nil, refuse("volume '%s' does not exist", id)
	}
	return map[string]any{"path": "/simulated/" + id, "format": v.format, "size": v.size, "used": v.size}, nil
}

// deleteContent deletes at once, where Proxmox begins a task that takes a moment.
func (s *Server) deleteContent(r *http.Request) (any, error) {
	id := r.PathValue("volume")
	if !strings.Contains(id, ":") {
		id = r.PathValue("storage") + ":" + id
	}
	if s.volumes[id] == nil {
		return nil, refuse("volume '%s' does not exist", id)
	}
	delete(s.volumes, id)
	return nil, nil
}
