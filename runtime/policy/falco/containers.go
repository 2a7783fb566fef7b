package falco

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/policy/procs"
)

// owners finds the containers of processes, and reads the files of their runtimes.
type owners struct {
	root       string                // mount point of the hierarchy of version 2
	byCgroup   map[uint64]string     // the container's ID; "": none
	runtimes   map[string]string     // names of runtimes by container ID, if cgroups contain them
	containers map[string]*container // by ID
	system     cgroups.System
}

func newOwners() *owners {
	o := &owners{byCgroup: map[uint64]string{}, runtimes: map[string]string{}, containers: map[string]*container{}}
	o.root, _ = cgroups.Version2("/proc")
	return o
}

// ofProcess returns the ID of the container of a process, or "".
func (o *owners) ofProcess(p *procs.Process) string {
	id, ok := o.byCgroup[p.Cgroup]
	if !ok && p.Cgroup != 0 && o.root != "" {
		if path, found := cgroups.PathNow(o.root, p.Cgroup); found {
			id = o.ofPath(path)
			if len(o.byCgroup) > maxCgroups {
				clear(o.byCgroup)
			}
			o.byCgroup[p.Cgroup] = id
		}
	}
	if id != "" {
		return id
	}
	if p.Owner == nil { // of a runtime that uses hierarchies of version 1
		owner := o.now(p.PID)
		p.Owner = &owner
	}
	return *p.Owner
}

// ofPath returns the ID of the container that a cgroup belongs to, or "". It stores the
// name of the container's runtime.
func (o *owners) ofPath(path string) string {
	id := cgroups.OwnerOf(path).Container
	if id != "" {
		if len(o.runtimes) > maxCgroups {
			clear(o.runtimes)
		}
		o.runtimes[id] = cgroups.RuntimeOf(path)
	}
	return id
}

// maxCgroups is the maximum number of cgroups and containers that are cached.
const maxCgroups = 1 << 14

// now returns the ID of the container that a process is in at this moment, using all its
// cgroups.
func (o *owners) now(pid int32) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return ""
	}
	for _, line := range strings.Split(string(data), "\n") {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 {
			if id := o.ofPath(f[2]); id != "" {
				return id
			}
		}
	}
	return ""
}

// container is what is known about a container.
type container struct {
	ID, Name, Type            string
	Image, ImageID, Digest    string
	Privileged                *bool
	HostPID, HostNet, HostIPC *bool
	Mounts                    []mount
	Labels                    map[string]string
	Started                   time.Time
	IP                        string
	Healthcheck               string
	Pod, Namespace, PodUID    string
	Sandbox                   string

	looked time.Time
	found  bool
}

type mount struct {
	Source, Destination, Mode, Propagation string
	RW                                     bool
}

// lookForContainer is the time after which gotrace searches again for the files of a
// container.
const lookForContainer = time.Second

// container returns the container with an ID.
func (o *owners) container(id string) *container {
	c := o.containers[id]
	if c != nil && (c.found || time.Since(c.looked) < lookForContainer) {
		return c
	}
	if len(o.containers) > maxCgroups {
		clear(o.containers)
	}
	c = &container{ID: id, looked: time.Now()}
	o.containers[id] = c
	c.docker(id)
	c.containerd(id)
	c.storage(id)
	o.system.Reread()
	if known := o.system.Container(id); known != nil {
		if c.Name == "" {
			c.Name = known.Name
		}
		if c.Image == "" {
			c.Image = known.Ref
		}
		if c.ImageID == "" {
			c.ImageID = known.ImageID
		}
		c.Pod, c.Namespace, c.PodUID = known.Pod, known.Namespace, known.PodUID
		if c.Type != "docker" {
			c.Labels = c.labels(known.Labels)
		}
	}
	if c.Type == "" {
		c.Type = o.runtimes[id]
	}
	return c
}

// labels returns the labels of a container from the files of its runtime: without labels
// for the runtime's internal use, and with those that Kubernetes gives each container.
func (c *container) labels(kept map[string]string) map[string]string {
	labels := map[string]string{}
	for key, value := range kept {
		own := false
		for _, prefix := range []string{"io.kubernetes.cri.", "io.kubernetes.cri-o.", "io.podman.", "io.container.", "org.opencontainers."} {
			own = own || strings.HasPrefix(key, prefix)
		}
		if !own {
			labels[key] = value
		}
	}
	if c.Pod != "" && c.Namespace != "" {
		for key, value := range map[string]string{"container.name": c.Name, "pod.name": c.Pod, "pod.namespace": c.Namespace, "pod.uid": c.PodUID} {
			if value != "" {
				labels["io.kubernetes."+key] = value
			}
		}
	}
	return labels
}

func first(pattern string) string {
	list, _ := filepath.Glob(pattern)
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// docker reads the files of Docker.
func (c *container) docker(id string) {
	dir := ""
	for _, pattern := range []string{"/var/lib/docker/containers/", "/home/*/.local/share/docker/containers/"} {
		if dir = first(pattern + id); dir != "" {
			break
		}
	}
	var conf struct {
		Name, Image string
		State       struct{ StartedAt time.Time }
		Config      struct {
			Image       string
			Labels      map[string]string
			Healthcheck struct{ Test []string }
		}
		MountPoints     map[string]mount
		NetworkSettings struct {
			Networks map[string]struct{ IPAddress string }
		}
	}
	if dir == "" || !cgroups.ReadJSON(dir+"/config.v2.json", &conf) {
		return
	}
	c.found, c.Type = true, "docker"
	c.Name, c.Image, c.Labels = strings.TrimPrefix(conf.Name, "/"), conf.Config.Image, conf.Config.Labels
	c.ImageID = strings.TrimPrefix(conf.Image, "sha256:")
	c.Started = conf.State.StartedAt
	if t := conf.Config.Healthcheck.Test; len(t) > 0 && t[0] != "NONE" {
		c.Healthcheck = strings.Join(t[min(1, len(t)):], " ")
	}
	for _, n := range conf.NetworkSettings.Networks {
		if c.IP == "" {
			c.IP = n.IPAddress
		}
	}
	for dest, m := range conf.MountPoints {
		if m.Destination == "" {
			m.Destination = dest
		}
		c.Mounts = append(c.Mounts, m)
	}
	sort.Slice(c.Mounts, func(i, j int) bool { return c.Mounts[i].Destination < c.Mounts[j].Destination })
	var host struct {
		Privileged                    bool
		PidMode, NetworkMode, IpcMode string
	}
	if cgroups.ReadJSON(dir+"/hostconfig.json", &host) {
		c.Privileged = &host.Privileged
		pid, net, ipc := host.PidMode == "host", host.NetworkMode == "host", host.IpcMode == "host"
		c.HostPID, c.HostNet, c.HostIPC = &pid, &net, &ipc
	}
}

// spec is the part of a container's config.json that is read.
type spec struct {
	Annotations map[string]string
	Process     struct {
		Capabilities struct{ Bounding []string }
	}
	Mounts []struct {
		Source, Destination string
		Options             []string
	}
	Linux struct {
		Namespaces []struct{ Type, Path string }
	}
}

// config reads the config.json of a container.
func (c *container) config(path, kind string) {
	var s spec
	st, err := os.Stat(path)
	if err != nil || !cgroups.ReadJSON(path, &s) {
		return
	}
	c.found = true
	for key := range s.Annotations {
		if strings.HasPrefix(key, "io.kubernetes.cri-o.") { // the files are where Podman has them
			kind = crio
		}
	}
	if c.Type == "" {
		c.Type = kind
	}
	if c.Started.IsZero() {
		c.Started = st.ModTime()
	}
	a := s.Annotations
	for _, key := range []string{"io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "io.kubernetes.cri-o.Image", "org.opencontainers.image.ref.name", "nerdctl/image"} {
		if c.Image == "" {
			c.Image = a[key]
		}
	}
	c.Sandbox = a["io.kubernetes.cri.sandbox-id"]
	if c.Sandbox == "" {
		c.Sandbox = a["io.kubernetes.cri-o.SandboxID"]
	}
	if c.Name == "" {
		c.Name = a["io.kubernetes.cri.container-name"]
	}
	if c.Privileged == nil {
		all := len(s.Process.Capabilities.Bounding) >= privilegedCaps || strings.EqualFold(a["io.podman.annotations.privileged"], "true")
		c.Privileged = &all
	}
	if c.Mounts == nil {
		for _, m := range s.Mounts {
			mode := strings.Join(m.Options, ",")
			rw, propagation := true, ""
			for _, o := range m.Options {
				rw = rw && o != "ro"
				switch strings.TrimPrefix(o, "r") {
				case "private", "shared", "slave", "unbindable":
					propagation = o
				}
			}
			c.Mounts = append(c.Mounts, mount{m.Source, m.Destination, mode, propagation, rw})
		}
	}
	if c.HostPID == nil && len(s.Linux.Namespaces) > 0 {
		pid, net, ipc := true, true, true
		for _, n := range s.Linux.Namespaces {
			switch n.Type {
			case "pid":
				pid = false
			case "network":
				net = false
			case "ipc":
				ipc = false
			}
		}
		c.HostPID, c.HostNet, c.HostIPC = &pid, &net, &ipc
	}
}

// privilegedCaps is the minimum number of capabilities of a container that counts as
// privileged. The kernel has 41; a machine may not give out all of them. A container that
// is not privileged has about 14.
const privilegedCaps = 38

func (c *container) containerd(id string) {
	for _, run := range []string{"/run/containerd", "/run/k3s/containerd", "/var/snap/microk8s/common/run/containerd", "/run/docker/containerd"} {
		if dir := first(run + "/io.containerd.runtime.v*/*/" + id); dir != "" {
			c.config(dir+"/config.json", "containerd")
			return
		}
	}
}

const crio = "cri-o"

// storage reads the files that CRI-O and Podman share.
func (c *container) storage(id string) {
	for _, dir := range []string{"/var/lib/containers/storage", "/run/containers/storage", "/home/*/.local/share/containers/storage", "/run/user/*/containers"} {
		if path := first(dir + "/*-containers/" + id + "/userdata/config.json"); path != "" {
			c.config(path, "podman")
			return
		}
	}
}

// repository returns the name of the image without its tag and digest, and these.
func (c *container) repository() (name, tag, digest string) {
	name, digest, _ = strings.Cut(c.Image, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
	}
	return name, tag, digest
}

// containerID returns the ID of the event's container as runtimes show it, or "host".
func (e *Event) containerID() string {
	id := e.owners.ofProcess(e.proc)
	if id == "" {
		return "host"
	}
	return cgroups.Short(id)
}

// container returns the event's container, or nil.
func (e *Event) container() *container {
	id := e.owners.ofProcess(e.proc)
	if id == "" {
		return nil
	}
	return e.owners.container(id)
}

// names returns the names of users where the process runs.
func (e *Event) names() *procs.Names {
	id := e.owners.ofProcess(e.proc)
	if id == "" {
		return e.users
	}
	n := e.inside[id]
	if n == nil {
		root := fmt.Sprintf("/proc/%d/root", e.proc.PID)
		if _, err := os.Stat(root + "/etc/passwd"); err != nil {
			return e.users
		}
		if len(e.inside) > maxCgroups {
			clear(e.inside)
		}
		n = procs.NewNames(root)
		e.inside[id] = n
	}
	return n
}
