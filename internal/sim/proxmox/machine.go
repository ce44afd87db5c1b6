package proxmox

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	diskKey = regexp.MustCompile(`^(virtio|scsi|sata|ide)\d+$`)
	netKey  = regexp.MustCompile(`^net\d+$`)
	// numbers are the keys of a configuration that JSON has as numbers.
	numbers = []string{"acpi", "balloon", "cores", "cpuunits", "numa", "onboot", "protection", "sockets", "tablet", "template"}
)

func (s *Server) listMachines(*http.Request) (any, error) {
	all := []any{}
	for _, id := range slices.Sorted(maps.Keys(s.machines)) {
		m := s.machines[id]
		all = append(all, map[string]any{
			"id": fmt.Sprintf("qemu/%d", id), "type": "qemu", "node": s.config.Node, "vmid": id,
			"name": m.Config["name"], "status": m.Status, "tags": m.Config["tags"],
		})
	}
	return all, nil
}

func (s *Server) createMachine(r *http.Request) (any, error) {
	id, err := strconv.Atoi(r.Form.Get("vmid"))
	if err != nil || id < 100 {
		return nil, failure{http.StatusBadRequest, "Parameter verification failed. vmid: value must have a minimum value of 100"}
	}
	if s.machines[id] != nil {
		return nil, refuse("unable to create VM %d - VM %d already exists on node '%s'", id, id, s.config.Node)
	}
	m := &Machine{ID: id, Status: "stopped", Config: map[string]string{"lock": "create"}}
	s.machines[id] = m
	return s.begin("qmcreate", strconv.Itoa(id), func() error {
		if err := s.apply(m, r); err != nil {
			// Nothing stays of a machine that could not be made.
			s.free(id)
			delete(s.machines, id)
			return refuse("unable to create VM %d - %s", id, err)
		}
		m.Config["smbios1"] = fmt.Sprintf("uuid=00000000-0000-4000-8000-%012d", id)
		delete(m.Config, "lock")
		return nil
	}), nil
}

// apply takes a form of settings over into the machine's configuration.
func (s *Server) apply(m *Machine, r *http.Request) error {
	for _, key := range strings.FieldsFunc(r.Form.Get("delete"), func(c rune) bool { return c == ',' || c == ' ' }) {
		delete(m.Config, key)
	}
	for _, key := range slices.Sorted(maps.Keys(r.PostForm)) {
		value := r.PostForm.Get(key)
		switch {
		case key == "vmid", key == "delete", key == "template" && value == "0":
		case diskKey.MatchString(key):
			disk, err := s.disk(m, key, value)
			if err != nil {
				return err
			}
			m.Config[key] = disk
		case netKey.MatchString(key):
			m.Config[key] = networkCard(m.ID, value)
		case key == "cicustom":
			for _, part := range strings.Split(value, ",") {
				if _, id, _ := strings.Cut(part, "="); s.volumes[id] == nil {
					return refuse("volume '%s' does not exist", id)
				}
			}
			m.Config[key] = value
		default:
			m.Config[key] = value
		}
	}
	return nil
}

// disk makes or keeps the volume that a drive is set to, and returns the drive as the
// configuration has it.
func (s *Server) disk(m *Machine, key, value string) (string, error) {
	var volumeID, importFrom string
	var options []string
	for _, option := range strings.Split(value, ",") {
		name, v, ok := strings.Cut(option, "=")
		switch {
		case option == "":
		case !ok:
			volumeID = name
		case name == "file":
			volumeID = v
		case name == "import-from":
			importFrom = v
		case name == "size", name == "format", v == "":
		default:
			options = append(options, option)
		}
	}
	storageName, rest, _ := strings.Cut(volumeID, ":")
	if s.volumes[volumeID] == nil {
		storage, err := s.place(storageName, "images")
		if err != nil {
			return "", err
		}
		name, size := "", int64(0)
		switch gib, err := strconv.ParseInt(rest, 10, 64); {
		case rest == "cloudinit":
			name, size = fmt.Sprintf("vm-%d-cloudinit", m.ID), 4<<20
			options = append(options, "media=cdrom")
		case err != nil:
			return "", refuse("volume '%s' does not exist", volumeID)
		case importFrom != "":
			if s.volumes[importFrom] == nil {
				return "", refuse("volume '%s' does not exist", importFrom)
			}
			size = imageSize
		default:
			size = gib << 30
		}
		for i := 0; name == ""; i++ {
			if try := fmt.Sprintf("vm-%d-disk-%d", m.ID, i); s.volumes[storageName+":"+try] == nil {
				name = try
			}
		}
		if err := s.room(storage, size); err != nil {
			return "", err
		}
		volumeID = storageName + ":" + name
		s.volumes[volumeID] = &volume{content: "images", format: "raw", size: size, owner: m.ID}
	}
	options = append(options, "size="+formatSize(s.volumes[volumeID].size))
	return strings.Join(append([]string{volumeID}, options...), ","), nil
}

func formatSize(bytes int64) string {
	if bytes%(1<<30) == 0 {
		return fmt.Sprintf("%dG", bytes>>30)
	}
	return fmt.Sprintf("%dM", bytes>>20)
}

// networkCard is a card as the configuration has it: model and MAC address first.
func networkCard(id int, value string) string {
	model, mac := "virtio", fmt.Sprintf("BC:24:11:00:%02X:%02X", id>>8&255, id&255)
	var options []string
	for _, option := range strings.Split(value, ",") {
		switch name, v, _ := strings.Cut(option, "="); name {
		case "model":
			model = v
		case "macaddr":
			mac = v
		default:
			options = append(options, option)
		}
	}
	return strings.Join(append([]string{model + "=" + mac}, options...), ",")
}

func (s *Server) free(id int) {
	maps.DeleteFunc(s.volumes, func(_ string, v *volume) bool { return v.owner == id })
}

// unlocked fails while a task makes the machine.
func unlocked(m *Machine) error {
	if lock := m.Config["lock"]; lock != "" {
		return refuse("VM is locked (%s)", lock)
	}
	return nil
}

func (s *Server) deleteMachine(m *Machine, _ *http.Request) (any, error) {
	switch {
	case unlocked(m) != nil:
		return nil, unlocked(m)
	case m.Config["protection"] == "1":
		return nil, refuse("can't remove VM %d - protection mode enabled", m.ID)
	case m.Status == "running":
		return nil, refuse("VM %d is running - destroy failed", m.ID)
	}
	return s.begin("qmdestroy", strconv.Itoa(m.ID), func() error {
		s.free(m.ID)
		delete(s.machines, m.ID)
		return nil
	}), nil
}

func (s *Server) getConfig(m *Machine, _ *http.Request) (any, error) {
	data := map[string]any{"digest": "0000000000000000000000000000000000000000"}
	for key, value := range m.Config {
		data[key] = value
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && slices.Contains(numbers, key) {
			data[key] = n
		}
	}
	return data, nil
}

func (s *Server) setConfig(m *Machine, r *http.Request) (any, error) {
	if err := unlocked(m); err != nil {
		return nil, err
	}
	return nil, s.apply(m, r)
}

func (s *Server) resizeDisk(m *Machine, r *http.Request) (any, error) {
	if err := unlocked(m); err != nil {
		return nil, err
	}
	key := r.Form.Get("disk")
	drive, ok := m.Config[key]
	if !ok || !diskKey.MatchString(key) {
		return nil, refuse("disk '%s' does not exist", key)
	}
	volumeID, _, _ := strings.Cut(drive, ",")
	v := s.volumes[volumeID]
	size, err := parseSize(r.Form.Get("size"))
	if err != nil {
		return nil, failure{http.StatusBadRequest, "Parameter verification failed. size: " + err.Error()}
	}
	if size < v.size {
		return nil, refuse("shrinking disks is not supported")
	}
	storageName, _, _ := strings.Cut(volumeID, ":")
	return s.begin("resize", strconv.Itoa(m.ID), func() error {
		if err := s.room(s.storages[storageName], size-v.size); err != nil {
			return err
		}
		before := "size=" + formatSize(v.size)
		v.size = size
		m.Config[key] = strings.Replace(m.Config[key], before, "size="+formatSize(size), 1)
		return nil
	}), nil
}

// parseSize reads a size as 40G or as bytes.
func parseSize(text string) (int64, error) {
	units := map[string]int64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
	unit := strings.TrimLeft(text, "0123456789")
	n, err := strconv.ParseInt(strings.TrimSuffix(text, unit), 10, 64)
	if err != nil || units[unit] == 0 {
		return 0, fmt.Errorf("'%s' is not a size", text)
	}
	return n * units[unit], nil
}

func (s *Server) getStatus(m *Machine, _ *http.Request) (any, error) {
	data := map[string]any{"vmid": m.ID, "name": m.Config["name"], "status": m.Status, "qmpstatus": m.Status, "agent": 1}
	if lock := m.Config["lock"]; lock != "" {
		data["lock"] = lock
	}
	return data, nil
}

func (s *Server) startMachine(m *Machine, _ *http.Request) (any, error) {
	switch {
	case unlocked(m) != nil:
		return nil, unlocked(m)
	case m.Status == "running":
		return nil, refuse("VM %d already running", m.ID)
	}
	return s.begin("qmstart", strconv.Itoa(m.ID), func() error {
		m.Status, m.polls = "running", 0
		return nil
	}), nil
}

func (s *Server) stopMachine(m *Machine, _ *http.Request) (any, error) {
	if err := unlocked(m); err != nil {
		return nil, err
	}
	return s.begin("qmstop", strconv.Itoa(m.ID), func() error {
		m.Status = "stopped"
		return nil
	}), nil
}

// guestInterfaces answers as the guest agent would, which is not there at once.
func (s *Server) guestInterfaces(m *Machine, _ *http.Request) (any, error) {
	if m.Status != "running" {
		return nil, refuse("VM %d is not running", m.ID)
	}
	if m.polls++; m.polls <= 1 {
		return nil, refuse("QEMU guest agent is not running")
	}
	address := ""
	for _, option := range strings.Split(m.Config["ipconfig0"], ",") {
		if v, ok := strings.CutPrefix(option, "ip="); ok {
			address = v
		}
	}
	prefix, err := netip.ParsePrefix(address)
	if err != nil {
		return nil, refuse("simulated: '%s' is no static address", cmp.Or(address, m.Config["ipconfig0"]))
	}
	_, mac, _ := strings.Cut(strings.Split(m.Config["net0"], ",")[0], "=")
	return map[string]any{"result": []any{
		map[string]any{"name": "lo", "hardware-address": "00:00:00:00:00:00", "ip-addresses": []any{
			map[string]any{"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8},
		}},
		map[string]any{"name": "eth0", "hardware-address": strings.ToLower(mac), "ip-addresses": []any{
			map[string]any{"ip-address": prefix.Addr().String(), "ip-address-type": "ipv4", "prefix": prefix.Bits()},
		}},
	}}, nil
}
