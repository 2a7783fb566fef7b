package flows

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/gotrace/gotrace/runtime/outline"
	"github.com/gotrace/gotrace/runtime/value"
)

// record is the script's output for a packet.
type record struct {
	kind  string
	flow  Flow
	known bool   // whether the script knows the owner of the socket
	sock  uint64 // the kernel's address of the socket
	port  uint16 // the port of this machine's end
	data  []byte
}

// reader takes the values of a tuple in order. The first one of a wrong type is an error.
type reader struct {
	values value.Tuple
	err    error
}

func (r *reader) next() value.Value {
	if len(r.values) == 0 {
		r.fail("a value more")
		return value.Null{}
	}
	v := r.values[0]
	r.values = r.values[1:]
	return v
}

func (r *reader) fail(want string) {
	if r.err == nil {
		r.err = outline.Errorf("the script printed a record without %s", want)
	}
}

func (r *reader) uint() uint64 {
	n, ok := number(r.next())
	if !ok {
		r.fail("a number")
	}
	return n
}

func (r *reader) bool() bool {
	v, ok := r.next().(value.Bool)
	if !ok {
		r.fail("a truth value")
	}
	return bool(v)
}

func (r *reader) text() string {
	v, ok := r.next().(value.Str)
	if !ok {
		r.fail("a text")
	}
	return v.S
}

// number returns the value of an integer or pointer.
func number(v value.Value) (uint64, bool) {
	switch v := v.(type) {
	case value.Int:
		return uint64(v), true
	case value.Uint:
		return uint64(v), true
	case value.Ptr:
		return uint64(v), true
	case value.Enum:
		return uint64(v.V), true
	}
	return 0, false
}

// decode returns the record in a value that the script prints. boot is the time at which
// the clock of the script was 0.
func decode(v value.Value, boot time.Time) (*record, error) {
	t, _ := v.(value.Tuple)
	r := &reader{values: t}
	rec := &record{kind: r.text()}
	if rec.kind == kindNames {
		rec.data = r.bytes()
		return rec, r.err
	}
	f := &rec.flow
	args, ok := r.next().(value.Record)
	if !ok {
		r.fail("arguments")
	}
	f.Time = boot.Add(time.Duration(r.uint()))
	f.Direction = Ingress
	if r.bool() {
		f.Direction = Egress
	}
	f.Packets, f.Bytes, f.NetNS = r.uint(), r.uint(), r.uint()
	rec.known = r.bool()
	if err := rec.arguments(args); err != nil && r.err == nil {
		r.err = err
	}
	owner, ok := r.next().(value.Tuple)
	if !ok {
		r.fail("an owner")
	}
	o := &reader{values: owner}
	if p := (Process{PID: uint32(o.uint()), Comm: o.text(), Cgroup: o.uint()}); p.PID != 0 {
		f.local().Local = &p
	}
	if o.err != nil && r.err == nil {
		r.err = o.err
	}
	f.skb = r.uint()
	icmp := r.uint()
	f.seq = r.uint()
	f.Verdict = Forwarded
	switch rec.kind {
	case kindDrop:
		f.Verdict = Dropped
		f.Reason, f.Place = reasonName(r.next()), r.text()
	case kindRefused:
		f.Verdict, f.Reason, f.Place = Dropped, listenOverflow, "tcp_conn_request"
	case kindData:
		rec.data = r.bytes()
	}
	if (f.Proto == protoICMP || f.Proto == protoICMPv6) && rec.kind != kindDrop {
		f.ICMP = &ICMP{Type: uint8(icmp >> 8), Code: uint8(icmp)}
	}
	rec.port = f.local().Port
	return rec, r.err
}

// listenOverflow is the kernel's name of the reason for which it drops a packet if the
// queue of a listening socket is full. Kernels do not give this reason for the first packet
// of a connection, so the script compares the length of the queue.
const listenOverflow = "TCP_LISTEN_OVERFLOW"

// notSpecified is the kernel's name for an unknown reason.
const notSpecified = "NOT_SPECIFIED"

func (r *reader) bytes() []byte {
	v, ok := r.next().(value.Bytes)
	if !ok {
		r.fail("bytes")
	}
	return v
}

// reasonName returns the name of a reason, "" if there is none.
func reasonName(v value.Value) string {
	switch v := v.(type) {
	case value.Enum:
		if v.Name == "" {
			return fmt.Sprintf("reason %d", v.V)
		}
		return trimReason(v.Name)
	}
	return ""
}

// arguments reads the arguments of the event.
func (rec *record) arguments(args value.Record) error {
	f := &rec.flow
	for _, a := range args {
		n, isNumber := number(a.V)
		text, _ := a.V.(value.Str)
		switch a.Name {
		case "saddr", "daddr":
			addr, err := netip.ParseAddr(text.S)
			if err != nil {
				return outline.Errorf("the script printed the address %q", text.S)
			}
			if a.Name == "saddr" {
				f.Src.Addr = addr
			} else {
				f.Dst.Addr = addr
			}
			continue
		case "ifname":
			f.Interface = text.S
			continue
		}
		if !isNumber {
			continue
		}
		switch a.Name {
		case "proto":
			f.Proto = Proto(n)
		case "sport":
			f.Src.Port = uint16(n)
		case "dport":
			f.Dst.Port = uint16(n)
		case "tcpflags":
			f.Flags = Flags(n)
		case "len":
			f.Len = n
		case "sock":
			rec.sock = n
		}
	}
	return nil
}
