// Package cilium finds the endpoints of this machine for Cilium's network policies, and
// shows what the policies decided.
package cilium

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/gotrace/gotrace/lang/policy/cilium"
	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Machine finds the endpoints and the addresses of a machine.
type Machine struct {
	System cgroups.System

	out  *cilium.Machine
	root string // of the cgroups of version 2
	own  string // the network namespace of gotrace
}

func (m *Machine) proc() string {
	if m.System.Proc == "" {
		return "/proc"
	}
	return m.System.Proc
}

// Find returns the machine with its containers, units and other cgroups that have
// processes.
func (m *Machine) Find() (*cilium.Machine, error) {
	m.out = &cilium.Machine{Entities: map[string][]netip.Prefix{}, Services: map[string][]netip.Prefix{}}
	root, err := cgroups.Version2(m.proc())
	if err != nil {
		return nil, err
	}
	m.root = root
	m.own, _ = os.Readlink(m.proc() + "/self/ns/net")
	m.out.Host = append([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, localAddrs()...)
	name, _ := os.Hostname()
	host := &cilium.Endpoint{Name: "host", Dir: root, Labels: cilium.Labels{}, Host: true}
	host.ID, _ = cgroups.ID(root)
	host.Labels.Add("reserved", "host", "")
	host.Labels.Add("k8s", "kubernetes.io/hostname", name)
	m.out.Endpoints = append(m.out.Endpoints, host)
	filepath.WalkDir(root, func(dir string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && dir != root {
			m.cgroup(dir)
		}
		return nil
	})
	return m.out, nil
}

// localAddrs returns the addresses of the machine's interfaces.
func localAddrs() (list []netip.Prefix) {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLoopback() {
			list = append(list, netip.PrefixFrom(p.Addr().WithZone(""), p.Addr().BitLen()))
		}
	}
	return list
}

// cgroup adds the endpoint of a cgroup: the cgroup of a container, of a unit, or of other
// processes.
func (m *Machine) cgroup(dir string) {
	path := strings.TrimPrefix(dir, m.root)
	owner := cgroups.OwnerOf(path)
	parent := cgroups.OwnerOf(filepath.Dir(path))
	switch {
	case owner.Container != "" && owner.Container != parent.Container:
		e := m.endpoint(dir)
		m.container(e, owner)
	case owner.Container == "" && owner.Unit != "" && owner.Unit != parent.Unit:
		e := m.endpoint(dir)
		e.Name = owner.Unit
		e.Labels.Add("gotrace", "unit", owner.Unit)
	case owner.Container == "" && owner.Unit == "":
		if pids(dir) != nil {
			m.endpoint(dir)
		}
	}
}

// endpoint adds an endpoint for a cgroup with the labels of its processes.
func (m *Machine) endpoint(dir string) *cilium.Endpoint {
	path := strings.TrimPrefix(dir, m.root)
	e := &cilium.Endpoint{Name: strings.Trim(path, "/"), Dir: dir, Labels: cilium.Labels{}, Level: strings.Count(path, "/")}
	e.ID, _ = cgroups.ID(dir)
	if slice := filepath.Base(filepath.Dir(dir)); strings.HasSuffix(slice, ".slice") {
		e.Labels.Add("gotrace", "slice", slice)
	}
	filepath.WalkDir(dir, func(dir string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			for _, pid := range pids(dir) {
				m.process(e, pid)
			}
		}
		return nil
	})
	m.out.Endpoints = append(m.out.Endpoints, e)
	return e
}

// pids returns the processes of a cgroup.
func pids(dir string) []string {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil || len(text) == 0 {
		return nil
	}
	return strings.Fields(string(text))
}

// process adds the labels of a process to an endpoint, and the addresses of its network
// namespace if that is not the machine's.
func (m *Machine) process(e *cilium.Endpoint, pid string) {
	dir := m.proc() + "/" + pid
	if comm, err := os.ReadFile(dir + "/comm"); err == nil {
		e.Labels.Add("gotrace", "comm", strings.TrimSpace(string(comm)))
	}
	if exe, err := os.Readlink(dir + "/exe"); err == nil {
		e.Labels.Add("gotrace", "exe", exe)
	}
	if st, err := os.Stat(dir); err == nil {
		name := fmt.Sprint(st.Sys().(*syscall.Stat_t).Uid)
		if u, err := user.LookupId(name); err == nil {
			name = u.Username
		}
		e.Labels.Add("gotrace", "user", name)
	}
	if ns, err := os.Readlink(dir + "/ns/net"); err == nil && ns != m.own && len(e.Addrs) == 0 {
		e.Addrs = networkAddrs(dir)
	}
}

// networkAddrs returns the addresses of the network of a process, without those of its
// loopback interface.
func networkAddrs(proc string) (list []netip.Prefix) {
	add := func(a netip.Addr) {
		p := netip.PrefixFrom(a, a.BitLen())
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	if f, err := os.Open(proc + "/net/fib_trie"); err == nil {
		defer f.Close()
		var last netip.Addr
		for s := bufio.NewScanner(f); s.Scan(); {
			line := strings.TrimSpace(s.Text())
			if text, ok := strings.CutPrefix(line, "|-- "); ok {
				last, _ = netip.ParseAddr(text)
			} else if strings.HasPrefix(line, "/32 host LOCAL") && last.IsValid() {
				add(last)
			}
		}
	}
	text, _ := os.ReadFile(proc + "/net/if_inet6")
	for line := range strings.Lines(string(text)) {
		digits, _, _ := strings.Cut(line, " ")
		if b, err := hex.DecodeString(digits); err == nil && len(b) == 16 {
			add(netip.AddrFrom16([16]byte(b)))
		}
	}
	return list
}

// container adds the labels of a container from the files of its runtime.
func (m *Machine) container(e *cilium.Endpoint, owner cgroups.Owner) {
	e.Name = cgroups.Short(owner.Container)
	e.Labels.Add("container", "id", owner.Container)
	c := m.System.Container(owner.Container)
	if c == nil {
		return
	}
	if c.Name != "" {
		e.Name = c.Name
		e.Labels.Add("container", "name", c.Name)
		e.Labels.Add("k8s", "io.kubernetes.container.name", c.Name)
	}
	if c.Pod != "" {
		e.Name = c.PodName() + "/" + c.Name
		e.Labels.Add("k8s", "io.kubernetes.pod.name", c.Pod)
		e.Labels.Add("k8s", cilium.NamespaceLabel, c.Namespace)
	}
	for k, v := range c.Labels {
		e.Labels.Add("container", k, v)
	}
}

// Add adds the endpoint that a value of --endpoint describes: LABELS: PLACE. PLACE is the
// directory of a cgroup, an address or prefix of another machine, host, or one of comm=,
// exe=, user=, unit= and container= with a name.
func (m *Machine) Add(text string) error {
	at := strings.Index(text, ": ")
	if at < 0 {
		return outline.Errorf("--endpoint '%s': write 'LABELS: PLACE', such as 'app=web: /sys/fs/cgroup/system.slice/nginx.service'", text)
	}
	labels, err := cilium.ParseLabels(text[:at])
	if err != nil {
		return outline.Errorf("--endpoint: %w", err)
	}
	places, err := m.places(strings.TrimSpace(text[at+2:]))
	if err != nil {
		return outline.Errorf("--endpoint '%s': %w", text, err)
	}
	for _, e := range places {
		for key, values := range labels {
			from, name, _ := strings.Cut(key, ":")
			for _, v := range values {
				e.Labels.Add(from, name, v)
			}
		}
		if !e.Host {
			e.Name = text[:at]
		}
	}
	return nil
}

// places returns the endpoints at a place.
func (m *Machine) places(place string) (list []*cilium.Endpoint, err error) {
	if place == "host" {
		return m.out.Endpoints[:1], nil
	}
	if p, err := cilium.ParsePrefix(place); err == nil {
		e := &cilium.Endpoint{Labels: cilium.Labels{}, Addrs: []netip.Prefix{p}}
		m.out.Endpoints = append(m.out.Endpoints, e)
		return []*cilium.Endpoint{e}, nil
	}
	if strings.HasPrefix(place, "/") {
		return m.directory(filepath.Clean(place))
	}
	kind, name, _ := strings.Cut(place, "=")
	switch kind {
	case "unit":
		dir, err := m.System.FindUnit(name)
		if err != nil {
			return nil, err
		}
		return m.directory(dir)
	case "container":
		dir, err := m.System.FindContainer(name)
		if err != nil {
			return nil, err
		}
		return m.directory(dir)
	case "comm", "exe", "user":
		for _, e := range m.out.Endpoints {
			if slices.Contains(e.Labels["gotrace:"+kind], name) {
				list = append(list, e)
			}
		}
		if list == nil {
			return nil, outline.Errorf("no cgroup has a process with %s", place)
		}
		return list, nil
	}
	return nil, outline.Errorf("'%s' is not a place: there are a directory, an address, host, comm=, exe=, user=, unit= and container=", place)
}

// directory returns the endpoint of the cgroup with a directory.
func (m *Machine) directory(dir string) ([]*cilium.Endpoint, error) {
	for _, e := range m.out.Endpoints {
		if e.Dir == dir && !e.Host {
			return []*cilium.Endpoint{e}, nil
		}
	}
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, outline.Errorf("the cgroup %s does not exist", dir)
	}
	if dir == m.root {
		return nil, outline.Errorf("%s is the cgroup of the whole machine, which policies for nodes select: write host", dir)
	}
	if !strings.HasPrefix(dir, m.root+"/") {
		return nil, outline.Errorf("%s is not a cgroup of version 2: these are below %s", dir, m.root)
	}
	return []*cilium.Endpoint{m.endpoint(dir)}, nil
}
