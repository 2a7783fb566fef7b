package flows

import (
	"fmt"
	"io"

	"github.com/gotrace/gotrace/runtime/cgroups"
	"github.com/gotrace/gotrace/runtime/output"
)

// owners has the processes of the sockets that are older than the session, and the
// containers and units of cgroups.
type owners struct {
	socks     map[uint64]Process
	listeners map[listener]Process
	system    cgroups.System
	root      string // directory of the cgroups; "" if it is not known
	cgroups   map[uint64]cgroups.Names
}

type listener struct {
	ns   uint64
	port uint16
}

func newOwners() *owners {
	o := &owners{socks: map[uint64]Process{}, listeners: map[listener]Process{}, cgroups: map[uint64]cgroups.Names{}}
	o.root, _ = cgroups.Version2("/proc")
	return o
}

// add records the owner of a socket. ns is 0 if the socket does not listen. If several
// processes have the socket, the owner is the one with the lowest ID, which usually
// created it.
func (o *owners) add(sock, ns uint64, port uint16, p Process) {
	if old, ok := o.socks[sock]; ok && old.PID <= p.PID {
		return
	}
	o.socks[sock] = p
	if ns != 0 {
		o.listeners[listener{ns, port}] = p
	}
}

// complete adds to a flow the owner of the socket, and the owner's container and unit.
func (o *owners) complete(rec *record) {
	f := &rec.flow
	end := f.local()
	if end.Local == nil {
		p, ok := Process{}, false
		if !rec.known && rec.sock != 0 {
			p, ok = o.socks[rec.sock]
		}
		if !ok && f.Proto == protoTCP {
			p, ok = o.listeners[listener{f.NetNS, rec.port}]
		}
		if !ok {
			return
		}
		end.Local = &p
	}
	names := o.of(end.Local.Cgroup)
	end.Local.Container, end.Local.Unit = names.Container, names.Unit
}

// maxCgroups is the maximum number of cgroups whose names are cached.
const maxCgroups = 16384

// of returns the names for a cgroup.
func (o *owners) of(id uint64) cgroups.Names {
	if n, ok := o.cgroups[id]; ok {
		return n
	}
	path, ok := "", false
	if o.root != "" {
		path, ok = cgroups.PathNow(o.root, id)
	}
	if !ok {
		return cgroups.Names{}
	}
	n := o.system.Names(path)
	if len(o.cgroups) >= maxCgroups {
		clear(o.cgroups)
	}
	o.cgroups[id] = n
	return n
}

func lostText(n uint64) string {
	return fmt.Sprintf("%d packets are missing: there were more than gotrace could handle", n)
}

// message shows a message of the session.
func (w *watcher) message(m output.Message) {
	if w.opt.Stderr != nil {
		io.WriteString(w.opt.Stderr, m.Text+"\n")
	}
}
