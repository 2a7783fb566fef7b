package falco

import (
	"fmt"
	"math/bits"
	"sort"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// ofContainer returns a field of the container.
//
//go:noinline
func ofContainer(get func(e *Event, c *container) datum) field {
	return func(e *Event, _ *falco.Term) datum {
		c := e.container()
		if c == nil {
			return datum{}
		}
		return get(e, c)
	}
}

//go:noinline
func filled(s string) datum { return known(s, s != "") }

//go:noinline
func flag(b *bool) datum {
	if b == nil {
		return datum{}
	}
	return truth(*b)
}

// containerFields are the fields of the container and the pod.
var containerFields = lazy.Table[map[string]field]{New: func() map[string]field {
	return map[string]field{
		"container.id": func(e *Event, _ *falco.Term) datum { return text(e.containerID()) },
		"container.full_id": func(e *Event, _ *falco.Term) datum {
			if id := e.owners.ofProcess(e.proc); id != "" {
				return text(id)
			}
			return text("host")
		},
		"container.name": func(e *Event, _ *falco.Term) datum {
			if c := e.container(); c != nil {
				return filled(c.Name)
			}
			return text("host")
		},
		"container.image":    ofContainer(func(_ *Event, c *container) datum { return filled(c.Image) }),
		"container.image.id": ofContainer(func(_ *Event, c *container) datum { return filled(cgroups.Short(c.ImageID)) }),
		"container.type": func(e *Event, _ *falco.Term) datum {
			if c := e.container(); c != nil {
				return filled(c.Type)
			}
			return text("host")
		},
		// If no file has the information, a container counts as privileged if the process
		// has nearly all capabilities.
		"container.privileged": ofContainer(func(e *Event, c *container) datum {
			if c.Privileged == nil {
				return truth(bits.OnesCount64(uint64(e.int(falco.CapPermitted))) >= privilegedCaps)
			}
			return truth(*c.Privileged)
		}),
		"container.mounts": ofContainer(func(_ *Event, c *container) datum {
			var all []string
			for _, m := range c.Mounts {
				all = append(all, m.String())
			}
			return text(strings.Join(all, ","))
		}),
		"container.mount":             mountField(func(m mount) string { return m.String() }),
		"container.mount.source":      mountField(func(m mount) string { return m.Source }),
		"container.mount.dest":        mountField(func(m mount) string { return m.Destination }),
		"container.mount.mode":        mountField(func(m mount) string { return m.Mode }),
		"container.mount.rdwr":        mountField(func(m mount) string { return strconv.FormatBool(m.RW) }),
		"container.mount.propagation": mountField(func(m mount) string { return m.Propagation }),
		"container.image.repository": ofContainer(func(_ *Event, c *container) datum {
			name, _, _ := c.repository()
			return filled(name)
		}),
		"container.image.tag": ofContainer(func(_ *Event, c *container) datum {
			_, tag, _ := c.repository()
			return filled(tag)
		}),
		"container.image.digest": ofContainer(func(_ *Event, c *container) datum {
			_, _, digest := c.repository()
			return filled(digest)
		}),
		"container.healthcheck":     ofContainer(func(_ *Event, c *container) datum { return filled(c.Healthcheck) }),
		"container.liveness_probe":  ofContainer(func(*Event, *container) datum { return datum{} }),
		"container.readiness_probe": ofContainer(func(*Event, *container) datum { return datum{} }),
		"container.start_ts": ofContainer(func(_ *Event, c *container) datum {
			if c.Started.IsZero() {
				return datum{}
			}
			return number(c.Started.UnixNano())
		}),
		"container.duration": ofContainer(func(e *Event, c *container) datum {
			if c.Started.IsZero() {
				return datum{}
			}
			return number(e.time().Sub(c.Started).Nanoseconds())
		}),
		"container.ip":           ofContainer(func(_ *Event, c *container) datum { return filled(c.IP) }),
		"container.cni.json":     ofContainer(func(*Event, *container) datum { return datum{} }),
		"container.host_pid":     ofContainer(func(_ *Event, c *container) datum { return flag(c.HostPID) }),
		"container.host_network": ofContainer(func(_ *Event, c *container) datum { return flag(c.HostNet) }),
		"container.host_ipc":     ofContainer(func(_ *Event, c *container) datum { return flag(c.HostIPC) }),
		"container.label":        labelField,
		"container.labels":       labelsField,
		"k8s.pod.name":           ofContainer(func(_ *Event, c *container) datum { return filled(c.Pod) }),
		"k8s.pod.id":             ofContainer(func(_ *Event, c *container) datum { return filled(c.PodUID) }),
		"k8s.pod.uid":            ofContainer(func(_ *Event, c *container) datum { return filled(c.PodUID) }),
		"k8s.pod.sandbox_id":     ofContainer(func(_ *Event, c *container) datum { return filled(cgroups.Short(c.Sandbox)) }),
		"k8s.pod.full_sandbox_id": ofContainer(func(_ *Event, c *container) datum {
			return filled(c.Sandbox)
		}),
		"k8s.pod.label":    labelField,
		"k8s.pod.labels":   labelsField,
		"k8s.pod.ip":       ofContainer(func(_ *Event, c *container) datum { return filled(c.IP) }),
		"k8s.pod.cni.json": ofContainer(func(*Event, *container) datum { return datum{} }),
		"k8s.ns.name":      ofContainer(func(_ *Event, c *container) datum { return filled(c.Namespace) }),
	}
}}

func labelField(e *Event, t *falco.Term) datum {
	if c := e.container(); c != nil {
		if v, ok := c.Labels[t.Arg]; ok {
			return text(v)
		}
	}
	return datum{}
}

func labelsField(e *Event, _ *falco.Term) datum {
	c := e.container()
	if c == nil {
		return datum{}
	}
	var all []string
	for k, v := range c.Labels {
		all = append(all, k+":"+v)
	}
	sort.Strings(all)
	return text(strings.Join(all, ", "))
}

//go:noinline
func (m mount) String() string {
	return fmt.Sprintf("%s:%s:%s:%t:%s", m.Source, m.Destination, m.Mode, m.RW, m.Propagation)
}

// mountField returns a field of a mount, which the argument selects by number or by a
// pattern of its source. container.mount.source takes a pattern of the destination.
//
//go:noinline
func mountField(get func(mount) string) field {
	return func(e *Event, t *falco.Term) datum {
		c := e.container()
		if c == nil {
			return datum{}
		}
		if n, err := strconv.Atoi(t.Arg); err == nil {
			if n < 0 || n >= len(c.Mounts) {
				return datum{}
			}
			return text(get(c.Mounts[n]))
		}
		re, err := falco.GlobRegexp(t.Arg, false)
		if err != nil {
			return datum{}
		}
		for _, m := range c.Mounts {
			at := m.Source
			if t.Field.Name == "container.mount.source" {
				at = m.Destination
			}
			if re.MatchString(at) {
				return text(get(m))
			}
		}
		return datum{}
	}
}
