package flows

import (
	"context"
	"io"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/tracer"
	"github.com/gotrace/gotrace/runtime/value"
)

// WatchOptions specifies which flows to watch.
type WatchOptions struct {
	Filter Filter
	// Unmask shows queries, users and passwords in URLs, which are hidden by default.
	Unmask bool
	// Stderr receives messages; nil discards them.
	Stderr io.Writer
	// Attached is called when all probes are attached. It may be nil.
	Attached func()
	Kernel   *kernel.Kernel
}

// hold is the time for which a flow is held before it is reported. If the kernel drops
// the packet after a socket has sent it, or before a socket gets it, only the drop is
// reported.
const hold = 100 * time.Millisecond

// Watch runs until ctx is done, or until on returns false for a flow. It calls on from one
// goroutine at a time, for each flow that the filter selects.
func Watch(ctx context.Context, opt WatchOptions, on func(*Flow) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &watcher{opt: opt, open: exchanges{}, owners: newOwners(), stop: cancel, on: on}
	if err := w.bootTime(); err != nil {
		return err
	}
	script, err := tracer.Compile(Script(&opt.Filter, HasReasons(opt.Kernel)), tracer.Options{Name: "flows", Kernel: opt.Kernel, Stderr: opt.Stderr})
	if err != nil {
		return err
	}
	session, err := script.Start(context.WithoutCancel(ctx), w.event)
	if err != nil {
		return err
	}
	err = w.seed(ctx)
	if err == nil {
		if opt.Attached != nil {
			opt.Attached()
		}
		w.serve(ctx, session)
		w.drain()
	}
	session.Stop()
	if _, rerr := session.Wait(); err == nil {
		err = rerr
	}
	w.flush(time.Time{}, false)
	if err == nil {
		err = w.err
	}
	return err
}

// HasReasons reports whether a kernel has reasons for dropping packets.
func HasReasons(k *kernel.Kernel) bool {
	_, err := k.Type("enum skb_drop_reason")
	return err == nil
}

// watcher decodes the script's output to flows.
type watcher struct {
	opt  WatchOptions
	boot time.Time
	stop context.CancelFunc

	mu     sync.Mutex // all below
	on     func(*Flow) bool
	done   bool // on has returned false
	err    error
	names  names
	open   exchanges
	owners *owners
	held   []*heldRecord
	latest time.Time // time of the last packet handled
	// handled counts records.
	handled int
}

// heldRecord is a record with the time at which it is reported.
type heldRecord struct {
	*record
	until time.Time
}

// bootTime sets the time at which the clock of the script was 0.
func (w *watcher) bootTime() error {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return err
	}
	w.boot = time.Now().Add(-time.Duration(ts.Nano()))
	return nil
}

// seedScript lists the existing sockets: the address, the namespace and port (0 if the
// socket does not listen), and the owner.
const seedScript = `iter:task_file {
  if ((ctx.file.f_inode.i_mode & 0170000) == 0140000) {
    let $sk = ((struct socket*)ctx.file.private_data).sk;
    let $family = $sk.__sk_common.skc_family;
    if ($family == 2 || $family == 10) {
      let $listens = $sk.sk_type == 1 && $sk.__sk_common.skc_state == 10;
      print(((uint64)$sk, $listens ? (uint64)$sk.__sk_common.skc_net.net.ns.inum : 0, $sk.__sk_common.skc_num,
        (uint32)ctx.task.tgid, ctx.task.comm, (uint64)ctx.task.cgroups.dfl_cgrp.kn.id));
    }
  }
}`

// seed finds the owners of the sockets that are older than the session.
func (w *watcher) seed(ctx context.Context) error {
	script, err := tracer.Compile(seedScript, tracer.Options{Name: "sockets", Kernel: w.opt.Kernel, Stderr: w.opt.Stderr})
	if err != nil {
		return err
	}
	var bad error
	_, err = script.Run(ctx, func(e tracer.Event) {
		p, ok := e.(tracer.Printed)
		if !ok {
			return
		}
		t, _ := p.Value.(value.Tuple)
		r := &reader{values: t}
		sock, ns, port := r.uint(), r.uint(), uint16(r.uint())
		owner := Process{PID: uint32(r.uint()), Comm: r.text(), Cgroup: r.uint()}
		if r.err != nil {
			bad = r.err
			return
		}
		w.mu.Lock()
		w.owners.add(sock, ns, port, owner)
		w.mu.Unlock()
	})
	if err == nil {
		err = bad
	}
	return err
}

// serve reports flows until ctx is done.
func (w *watcher) serve(ctx context.Context, session *tracer.Session) {
	tick := time.NewTicker(hold / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			w.flush(now, session.Pending())
		}
	}
}

// drain waits for a short time until the script has nothing more to report.
func (w *watcher) drain() {
	const most, quiet = 500 * time.Millisecond, 50 * time.Millisecond
	for end := time.Now().Add(most); time.Now().Before(end); {
		w.mu.Lock()
		handled, done := w.handled, w.done || w.err != nil
		w.mu.Unlock()
		time.Sleep(quiet)
		w.mu.Lock()
		done = done || w.handled == handled
		w.mu.Unlock()
		if done {
			return
		}
	}
}

// event handles an event of the script.
func (w *watcher) event(e tracer.Event) {
	switch e := e.(type) {
	case tracer.Message:
		w.message(e.Message)
		return
	case tracer.Lost:
		w.message(output.Message{Text: lostText(uint64(e))})
		return
	case tracer.Printed:
		rec, err := decode(e.Value, w.boot)
		w.mu.Lock()
		defer w.mu.Unlock()
		if err != nil {
			w.err = err
			w.stop()
			return
		}
		w.record(rec)
	}
}

// record handles a record of the script.
func (w *watcher) record(rec *record) {
	w.handled++
	f := &rec.flow
	switch rec.kind {
	case kindNames:
		if m, ok := parseDNS(rec.data); ok && m.Response {
			w.names.learn(m)
		}
		return
	case kindData:
		if f.Proto == protoUDP {
			f.DNS, _ = parseDNS(rec.data)
		} else if f.HTTP = parseHTTP(rec.data); f.HTTP != nil {
			w.open.pair(f)
		}
	case kindDrop, kindRefused:
		w.withdraw(f)
	}
	if f.Proto == protoTCP {
		w.open.end(f)
	}
	if f.Time.After(w.latest) {
		w.latest = f.Time
	}
	w.held = append(w.held, &heldRecord{rec, time.Now().Add(hold)})
}

// withdraw removes a forwarded packet that the kernel has dropped afterwards. If the
// kernel gives no reason for dropping a packet that a socket has received, it may have
// just finished processing it.
func (w *watcher) withdraw(f *Flow) {
	if f.Direction == Ingress && (f.Reason == "" || f.Reason == notSpecified) {
		return
	}
	for i := len(w.held) - 1; i >= 0; i-- {
		h := &w.held[i].flow
		if h.Verdict == Forwarded && h.skb == f.skb && h.Direction == f.Direction && h.Proto == f.Proto && h.Flags == f.Flags &&
			h.Src.Addr == f.Src.Addr && h.Dst.Addr == f.Dst.Addr && h.Src.Port == f.Src.Port && h.Dst.Port == f.Dst.Port {
			if f.local().Local == nil {
				f.local().Local = h.local().Local
			}
			if h.DNS != nil || h.HTTP != nil {
				f.DNS, f.HTTP = h.DNS, h.HTTP
			}
			w.held = append(w.held[:i], w.held[i+1:]...)
			return
		}
	}
}

// flush reports the flows that have been held long enough, or all if now is zero. If
// records are pending, as on a busy machine, one of them may report a drop. Then flush
// reports only packets that are older than the latest packet by hold.
func (w *watcher) flush(now time.Time, pending bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.held) > 0 {
		if h := w.held[0]; !now.IsZero() && (h.until.After(now) || pending && w.latest.Sub(h.flow.Time) < hold) {
			return
		}
		rec := w.held[0].record
		w.held = w.held[1:]
		if !w.done {
			w.report(rec)
		}
	}
}

// report completes a flow and passes it on if the filter selects it.
func (w *watcher) report(rec *record) {
	f := &rec.flow
	w.owners.complete(rec)
	f.Src.Names, f.Dst.Names = w.names.of[f.Src.Addr], w.names.of[f.Dst.Addr]
	if !w.opt.Filter.Match(f) {
		return
	}
	if f.HTTP != nil && !w.opt.Unmask {
		shown := *f.HTTP
		shown.mask()
		f.HTTP = &shown
	}
	if !w.on(f) {
		w.done = true
		w.stop()
	}
}
