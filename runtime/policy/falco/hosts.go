package falco

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/runtime/hosts"
)

// namedHosts has the addresses of the hosts that rules name. It looks them up in the
// background, and again after lookAgain.
type namedHosts struct {
	names []string

	mu    sync.Mutex
	addrs map[string][]netip.Addr
}

// lookAgain is how long the addresses of a name are kept.
const lookAgain = time.Minute

func newNamedHosts(p *falco.Program) *namedHosts {
	h := &namedHosts{addrs: map[string][]netip.Addr{}}
	for _, r := range p.Rules {
		falco.EachCheck(r.Condition, func(c *falco.Check) {
			if f := c.Left.Field; f != nil && strings.HasSuffix(f.Name, "ip.name") {
				for _, name := range c.Texts {
					if !slices.Contains(h.names, name) {
						h.names = append(h.names, name)
					}
				}
			}
		})
	}
	if len(h.names) > 0 {
		h.look()
	}
	return h
}

// look looks up all names. The first call waits for a short time, so that the addresses
// are known at the first events.
func (h *namedHosts) look() {
	done := make(chan struct{})
	go func() {
		for first := true; ; first = false {
			for _, name := range h.names {
				list, err := hosts.Lookup(name, 5*time.Second)
				if err != nil {
					continue
				}
				for i := range list {
					list[i] = list[i].Unmap()
				}
				h.mu.Lock()
				h.addrs[name] = list
				h.mu.Unlock()
			}
			if first {
				close(done)
			}
			time.Sleep(lookAgain)
		}
	}()
	select {
	case <-done:
	case <-time.After(200 * time.Millisecond):
	}
}

// has reports whether a name has an address.
func (h *namedHosts) has(name string, a netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Contains(h.addrs[name], a.Unmap())
}

// name returns the name of an address, or "".
func (h *namedHosts) name(a netip.Addr) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range h.names {
		if slices.Contains(h.addrs[name], a.Unmap()) {
			return name
		}
	}
	return ""
}
