package cgroups

import (
	"strconv"
	"strings"
)

// Owner has the container, pod and unit of a cgroup, derived from its path. A field is ""
// if there is none.
type Owner struct {
	Container string // ID of the innermost container, or its name if it has no ID
	PodUID    string // Kubernetes: the pod's UID; Podman: the pod's ID
	Unit      string // the innermost systemd service or scope
}

// OwnerOf returns the owner of the cgroup at a path below the root.
func OwnerOf(path string) (o Owner) {
	for part := range strings.SplitSeq(path, "/") {
		if id := ContainerID(part); id != "" {
			o.Container = id
		}
		if uid := podUID(part); uid != "" {
			o.PodUID = uid
		}
		if isUnit(part) {
			o.Unit = part
		}
	}
	return o
}

// Names has the names of the container, pod and unit of a cgroup. A field is "" if there
// is none.
type Names struct{ Container, Pod, Unit string }

// Names returns the names of the container, pod and unit of the cgroup at a path below
// the root. If the files of the runtime do not contain a name, it is the short ID of the
// container, or the UID of the pod.
func (s *System) Names(path string) Names {
	owner := OwnerOf(path)
	n := Names{Unit: owner.Unit}
	if owner.Container == "" && owner.PodUID == "" {
		return n
	}
	c := s.Container(owner.Container)
	if c == nil { // it may have been started since
		s.Reread()
		c = s.Container(owner.Container)
	}
	switch {
	case owner.Container == "":
	case c != nil && c.Name != "":
		n.Container = c.Name
	default:
		n.Container = Short(owner.Container)
	}
	switch {
	case c != nil && c.Pod != "":
		n.Pod = c.PodName()
	case owner.PodUID != "":
		if n.Pod = s.Pod(owner.PodUID); n.Pod == "" {
			n.Pod = owner.PodUID
		}
	}
	return n
}

// isUnit reports whether a cgroup is that of a systemd unit with processes.
//
//go:noinline
func isUnit(name string) bool {
	for _, suffix := range []string{".service", ".scope", ".socket", ".mount", ".swap"} {
		if len(name) > len(suffix) && strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// runtimes lists the prefixes of cgroup names that container runtimes use when systemd
// manages the cgroups, with the names of the runtimes. An ID must follow: the cgroup of a
// process that only monitors a container (conmon) has the same beginning.
var runtimes = []struct{ prefix, name string }{
	{"docker-", "docker"}, {"cri-containerd-", "containerd"}, {"containerd-", "containerd"}, {"crio-", "cri-o"},
	{"libpod-", "podman"}, {"libpod-payload-", "podman"}, {"nerdctl-", "containerd"},
}

// RuntimeOf returns the name of the runtime of the innermost container in the path of a
// cgroup, or "" if the path does not contain it.
func RuntimeOf(path string) (name string) {
	above := ""
	for part := range strings.SplitSeq(path, "/") {
		if id := ContainerID(part); id != "" {
			name = ""
			for _, r := range runtimes {
				if strings.HasPrefix(part, r.prefix) || part == id && above+"-" == r.prefix || strings.Contains(part, ":"+strings.TrimSuffix(r.prefix, "-")+":") {
					name = r.name
					break
				}
			}
			if strings.HasPrefix(part, "lxc.payload.") {
				name = "lxc"
			}
		}
		above = part
	}
	return name
}

// ContainerID returns the ID of the container whose cgroup has that name, or "".
//
//	docker-ID.scope, cri-containerd-ID.scope, crio-ID.scope, libpod-ID.scope …
//	ID                      where the runtime manages cgroups itself
//	SLICE:cri-containerd:ID where it was given the name of a slice all the same
//	lxc.payload.NAME        LXC
//	machine-NAME.scope      systemd-nspawn
func ContainerID(name string) string {
	if lxc, ok := strings.CutPrefix(name, "lxc.payload."); ok {
		return lxc
	}
	name, scope := strings.CutSuffix(name, ".scope")
	if machine, ok := strings.CutPrefix(name, "machine-"); ok && scope {
		return unescapeUnit(machine)
	}
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[i+1:]
	}
	for _, r := range runtimes {
		if id, ok := strings.CutPrefix(name, r.prefix); ok && isID(id) {
			return id
		}
	}
	if isID(name) {
		return name
	}
	return ""
}

// idLen is the length of the IDs of containers.
const idLen = 64

//go:noinline
func isID(s string) bool { return len(s) == idLen && isHex(s) }

//go:noinline
func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// podUID returns the UID of the pod whose cgroup has that name, or "": podUID,
// kubepods-burstable-podUID.slice with _ for -, libpod_pod_ID.
func podUID(name string) string {
	name = strings.TrimSuffix(name, ".slice")
	if i := strings.LastIndex(name, "libpod_pod_"); i >= 0 && isID(name[i+len("libpod_pod_"):]) {
		return name[i+len("libpod_pod_"):]
	}
	i := strings.LastIndex(name, "pod")
	if i < 0 || i > 0 && name[i-1] != '-' {
		return ""
	}
	uid := strings.ReplaceAll(name[i+len("pod"):], "_", "-")
	plain := strings.ReplaceAll(uid, "-", "")
	if len(plain) != 32 || !isHex(plain) { // static pods have no dashes
		return ""
	}
	return uid
}

// unescapeUnit undoes systemd's escapes in the name of a unit: \x2d is a dash.
func unescapeUnit(s string) string {
	return unescaped(s, func(escape string) (uint64, bool) {
		n, err := strconv.ParseUint(escape[2:], 16, 8)
		return n, err == nil && escape[1] == 'x' && isHex(escape[2:])
	})
}

// unescaped replaces the escapes in s, which are a backslash and three characters, by the
// bytes that decode returns for them.
func unescaped(s string, decode func(escape string) (n uint64, ok bool)) string {
	var out []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, ok := decode(s[i : i+4]); ok {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}
