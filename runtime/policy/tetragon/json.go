package tetragon

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gotrace/gotrace/lang/policy/tetragon"
	"github.com/gotrace/gotrace/runtime/policy/procs"
	"github.com/gotrace/gotrace/runtime/value"
)

// object is a JSON object with its members in order.
type object []member

type member struct {
	key   string
	value any
}

// add adds a member, unless the value is empty.
//
//go:noinline
func (o *object) add(key string, v any) {
	switch x := v.(type) {
	case string:
		if x == "" {
			return
		}
	case []string:
		if len(x) == 0 {
			return
		}
	case []any:
		if len(x) == 0 {
			return
		}
	case object:
		if len(x) == 0 {
			return
		}
	}
	*o = append(*o, member{key, v})
}

// MarshalJSON implements json.Marshaler.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Quote(m.key))
		b.WriteByte(':')
		if s, ok := m.value.(string); ok && !utf8.ValidString(s) {
			m.value = strings.ToValidUTF8(s, "\ufffd")
		}
		var v bytes.Buffer
		enc := json.NewEncoder(&v)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(m.value); err != nil {
			return nil, err
		}
		b.Write(bytes.TrimSuffix(v.Bytes(), []byte("\n")))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// stamp returns a time in the format of Tetragon's JSON.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }

// line writes an event of a kind.
func (s *Sink) line(kind tetragon.Kind, event object, t time.Time) {
	whole := object{{string(kind), event}, {"node_name", s.node}, {"time", stamp(t)}}
	text, err := whole.MarshalJSON()
	if err != nil {
		return
	}
	s.w.Write(append(text, '\n'))
}

// base shows the start or the end of a program.
func (s *Sink) base(kind tetragon.Kind, p *procs.Process, ns uint64) {
	t := s.procs.Time(ns)
	if s.format != JSON {
		s.w.Write([]byte(oneLine(s.baseLine(kind, p)) + "\n"))
		return
	}
	var o object
	o.add("process", s.processJSON(p, 0))
	if parent := s.parentOf(p); parent != nil {
		o.add("parent", s.processJSON(parent, 0))
	}
	if kind == tetragon.Exit {
		if sig := p.ExitCode & 0x7f; sig != 0 {
			o.add("signal", signalName(sig))
		}
		if status := p.ExitCode >> 8 & 0xff; status != 0 {
			o.add("status", status)
		}
		o.add("time", stamp(t))
	}
	s.line(kind, o, t)
}

// processJSON describes a process, and the thread that caused an event. Descriptions
// without a separate thread are cached, because most events come from processes that have
// caused others.
func (s *Sink) processJSON(p *procs.Process, tid int32) json.RawMessage {
	if tid == 0 || tid == p.PID {
		if text := s.described[p]; text != nil {
			return text
		}
	}
	text, err := s.processObject(p, tid).MarshalJSON()
	if err != nil {
		return json.RawMessage("null")
	}
	if tid == 0 || tid == p.PID {
		if len(s.described) >= maxEnded {
			clear(s.described)
		}
		s.described[p] = text
	}
	return text
}

// processObject describes a process.
func (s *Sink) processObject(p *procs.Process, tid int32) object {
	var o object
	o.add("exec_id", s.execID(p))
	o.add("pid", p.PID)
	o.add("uid", p.UID)
	o.add("cwd", p.Cwd)
	binary := p.Path
	if binary == "" {
		binary = p.Comm
	}
	o.add("binary", binary)
	o.add("arguments", arguments(p))
	o.add("flags", flags(p))
	o.add("start_time", stamp(s.procs.Time(max(p.Start, p.ExecTime))))
	o.add("auid", p.LoginUID)
	if id := s.container(p); id != "" {
		o.add("docker", id)
	}
	if parent := s.parentOf(p); parent != nil {
		o.add("parent_exec_id", s.execID(parent))
	}
	if tid == 0 {
		tid = p.PID
	}
	o.add("tid", tid)
	o.add("in_init_tree", s.inInitTree(p))
	var caps object
	caps.add("permitted", capabilityNames(p.Permitted))
	caps.add("effective", capabilityNames(p.Caps))
	caps.add("inheritable", capabilityNames(p.Inheritable))
	o.add("cap", caps)
	var ns object
	for i, name := range spaceNames {
		if n := p.Namespaces[i]; n != 0 {
			ns.add(name, object{{"inum", n}, {"is_host", n == s.host[i]}})
		}
	}
	o.add("ns", ns)
	if u, err := user.LookupId(strconv.FormatUint(uint64(p.UID), 10)); err == nil {
		o.add("user", object{{"name", u.Username}})
	}
	return o
}

// flags returns the flags that tell how a process was created.
func flags(p *procs.Process) string {
	switch {
	case p.ExecTime != 0:
		if exec, cloned := p.Notes["exec"]; cloned && exec == p.ExecTime {
			return "clone"
		}
		return "execve clone"
	case p.Notes["exec"] != nil:
		return "clone"
	}
	return "procFS auid"
}

// arguments returns the arguments of a program, those with blanks in quotes.
func arguments(p *procs.Process) string {
	if len(p.Args) < 2 {
		return ""
	}
	var list []string
	for _, a := range p.Args[1:] {
		if a == "" || strings.ContainsAny(a, " \t\n") {
			a = `"` + a + `"`
		}
		list = append(list, a)
	}
	return strings.Join(list, " ")
}

// inInitTree reports whether a process is in a PID namespace other than the host's and
// descends from its first process.
func (s *Sink) inInitTree(p *procs.Process) bool {
	const pid = 3 // place in Namespaces
	in := p.Namespaces[pid]
	for i := 0; i < maxDepth && p != nil && in != s.host[pid] && p.Namespaces[pid] == in; i++ {
		if p.VPID == 1 {
			return true
		}
		p = s.parentOf(p)
	}
	return false
}

// maxDepth is the number of generations after which a search of ancestors ends.
const maxDepth = 256

// capabilityNames returns the names of Tetragon's API for a set of capabilities. One of them
// lacks the prefix.
func capabilityNames(set uint64) []string {
	var list []string
	for n := range uint64(64) {
		name := tetragon.Capabilities.Get()[n]
		if name == "CAP_DAC_OVERRIDE" {
			name = "DAC_OVERRIDE"
		}
		if set>>n&1 != 0 && name != "" {
			list = append(list, name)
		}
	}
	return list
}

// writeJSON writes an event of a policy.
func (s *Sink) writeJSON(r record) {
	e := r.event
	var o object
	o.add("process", s.processJSON(r.process, r.tid))
	if parent := s.parentOf(r.process); parent != nil {
		o.add("parent", s.processJSON(parent, 0))
	}
	switch e.Kind {
	case tetragon.Kprobe, tetragon.LSM:
		o.add("function_name", r.function)
	case tetragon.Tracepoint:
		o.add("subsys", e.Subsys)
		o.add("event", e.Event)
	case tetragon.Uprobe:
		o.add("path", e.Path)
		switch off, ok := e.Offsets[r.function]; {
		case ok:
			o.add("offset", unsigned(off))
		case r.function != "" && r.function[0] >= '0' && r.function[0] <= '9':
			o.add("offset", r.function)
		default:
			o.add("symbol", r.function)
		}
		if n := e.Counters[r.function]; n != 0 {
			o.add("ref_ctr_offset", unsigned(n))
		}
	case tetragon.Usdt:
		o.add("path", e.Path)
		o.add("provider", e.Provider)
		o.add("name", r.function)
	case tetragon.Loader:
		path := text(first(r.args[0]))
		o.add("path", path)
		o.add("buildid", buildID(path))
		s.line(e.Kind, o, r.time)
		return
	}
	var args, more []any
	for i := range e.Args {
		a := &e.Args[i]
		v := shownJSON(a, r.args[i])
		if a.Label != "" {
			v.add("label", a.Label)
		}
		if a.Data {
			more = append(more, v)
		} else {
			args = append(args, v)
		}
	}
	o.add("args", args)
	if r.hasResult {
		v := shownJSON(e.Return, r.result)
		if e.Return.Label != "" {
			v.add("label", e.Return.Label)
		}
		o.add("return", v)
	}
	o.add("action", r.outcome.Action)
	if r.outcome.Audit {
		o.add("verdict", "AUDIT")
	}
	o.add("kernel_stack_trace", stackJSON(r.kstack, false))
	o.add("policy_name", e.Policy)
	after := r.outcome.ReturnAction
	if after == "" && e.Kind == tetragon.Kprobe {
		after = "KPROBE_ACTION_POST"
	}
	o.add("return_action", after)
	o.add("message", e.Message)
	o.add("tags", e.Tags)
	o.add("user_stack_trace", stackJSON(r.ustack, true))
	o.add("data", more)
	if r.outcome.Hash && e.Kind == tetragon.LSM && len(r.args) > 0 {
		o.add("ima_hash", imaHash(text(first(r.args[0]))))
	}
	s.line(e.Kind, o, r.time)
}

// unsigned returns a 64-bit number as a string, its form in the JSON of protocol buffers.
//
//go:noinline
func unsigned(n uint64) string { return strconv.FormatUint(n, 10) }

func stackJSON(frames []value.Frame, user bool) []any {
	var list []any
	for _, f := range frames {
		var o object
		if user {
			o.add("address", unsigned(f.Addr))
		}
		o.add("offset", unsigned(f.Offset))
		o.add("symbol", f.Name)
		o.add("module", f.Module)
		list = append(list, o)
	}
	return list
}

// permission returns the permissions of a file as ls shows them.
func permission(mode int64) string {
	m := fs.FileMode(mode & 0o777)
	first := map[int64]byte{0o10000: 'p', 0o20000: 'c', 0o40000: 'd', 0o60000: 'b', 0o100000: '-', 0o120000: 'l', 0o140000: 's'}[mode&0o170000]
	if first == 0 {
		return ""
	}
	b := []byte(m.String())
	b[0] = first
	for i, bit := range []int64{0o4000, 0o2000, 0o1000} {
		if mode&bit != 0 {
			at, c := []int{3, 6, 9}[i], byte("sst"[i])
			if b[at] != 'x' {
				c -= 'a' - 'A'
			}
			b[at] = c
		}
	}
	return string(b)
}

func fileJSON(vs []value.Value) object {
	var o object
	o.add("path", text(first(vs)))
	if len(vs) > 1 {
		o.add("permission", permission(number(vs[1])))
	}
	return o
}

// shownJSON returns the JSON of an argument: an object with one member.
func shownJSON(a *tetragon.Arg, vs []value.Value) object {
	if len(vs) < a.Fields {
		return object{{"error_arg", object{{"message", "the event has no such argument"}}}}
	}
	n := func(i int) int64 { return number(vs[i]) }
	one := func(key string, v any) object { return object{{key, v}} }
	switch a.Show {
	case tetragon.ShowInt:
		return one("int_arg", int32(n(0)))
	case tetragon.ShowUint:
		return one("uint_arg", uint32(n(0)))
	case tetragon.ShowLong:
		return one("long_arg", strconv.FormatInt(n(0), 10))
	case tetragon.ShowSize:
		return one("size_arg", unsigned(uint64(n(0))))
	case tetragon.ShowString:
		return one("string_arg", text(vs[0]))
	case tetragon.ShowBytes:
		return bytesJSON(data(vs[0]), n(1))
	case tetragon.ShowVec:
		var all []byte
		for _, v := range vs[:4] {
			all = append(all, data(v)...)
		}
		return bytesJSON(all, 0)
	case tetragon.ShowPath:
		return one("path_arg", fileJSON(vs))
	case tetragon.ShowFile:
		return one("file_arg", fileJSON(vs))
	case tetragon.ShowBinprm:
		return one("linux_binprm_arg", fileJSON(vs))
	case tetragon.ShowSock, tetragon.ShowSkb, tetragon.ShowSockaddr, tetragon.ShowSockaddrUn:
		return socketJSON(a.Show, vs)
	case tetragon.ShowCapability:
		return one("capability_arg", object{{"value", n(0)}, {"name", tetragon.Capabilities.Get()[uint64(n(0))]}})
	case tetragon.ShowBPFCmd:
		return one("bpf_cmd_arg", tetragon.BPFCommands.Get()[uint64(n(0))])
	case tetragon.ShowSyscall:
		abi := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
		if n(0)&compatCall != 0 {
			abi = "i386"
		}
		return one("syscall_id", object{{"id", n(0) &^ compatCall}, {"abi", abi}})
	case tetragon.ShowNetDev:
		return one("net_dev_arg", object{{"name", text(vs[0])}})
	case tetragon.ShowCaps:
		key := map[string]string{"cap_permitted": "cap_permitted_arg", "cap_effective": "cap_effective_arg", "cap_inheritable": "cap_inheritable_arg"}[a.Type]
		if key == "" {
			key = "kernel_cap_t_arg"
		}
		return one(key, fmt.Sprintf("%016x", uint64(n(0))))
	}
	return kernelJSON(a, vs)
}

// compatCall is set in the number of a system call that a 32-bit program makes on amd64.
const compatCall = 1 << 31

// maxData is the limit above which a number is not the size of data: it is negative, or a
// meaningless value from the process.
const maxData = 1 << 40

// bytesJSON returns the JSON of data. The original data had size bytes.
func bytesJSON(b []byte, size int64) object {
	text := base64.StdEncoding.EncodeToString(b)
	if size > int64(len(b)) && size < maxData && len(b) > 0 {
		return object{{"truncated_bytes_arg", object{{"bytes_arg", text}, {"orig_size", strconv.FormatInt(size, 10)}}}}
	}
	return object{{"bytes_arg", text}}
}

// socketJSON returns a socket, a packet or an address.
func socketJSON(show tetragon.Show, vs []value.Value) object {
	n := func(i int) uint64 { return nth(vs, i) }
	var o object
	inet := func(family uint64) bool { return family == 2 || family == 10 }
	switch show {
	case tetragon.ShowSock:
		o.add("family", tetragon.Families.Get()[n(0)])
		o.add("type", map[uint64]string{1: "SOCK_STREAM", 2: "SOCK_DGRAM", 3: "SOCK_RAW", 4: "SOCK_RDM", 5: "SOCK_SEQPACKET", 6: "SOCK_DCCP", 10: "SOCK_PACKET"}[n(1)])
		o.add("protocol", tetragon.Protocols.Get()[n(2)])
		o.add("mark", n(3))
		o.add("priority", n(4))
		if inet(n(0)) {
			o.add("saddr", text(vs[5]))
			o.add("daddr", text(vs[6]))
			o.add("sport", n(7))
			o.add("dport", n(8))
		}
		o.add("cookie", unsigned(n(9)))
		o.add("state", tetragon.States.Get()[n(10)])
		return object{{"sock_arg", o}}
	case tetragon.ShowSkb:
		o.add("hash", n(0))
		o.add("len", n(1))
		o.add("priority", n(2))
		o.add("mark", n(3))
		if inet(n(10)) {
			o.add("saddr", text(vs[4]))
			o.add("daddr", text(vs[5]))
			o.add("sport", n(6))
			o.add("dport", n(7))
			o.add("proto", n(9))
			o.add("protocol", tetragon.Protocols.Get()[n(9)])
			o.add("family", tetragon.Families.Get()[n(10)])
		}
		return object{{"skb_arg", o}}
	case tetragon.ShowSockaddrUn:
		o.add("family", tetragon.Families.Get()[n(0)])
		o.add("path", text(vs[1]))
		return object{{"sockaddr_un_arg", o}}
	}
	o.add("family", tetragon.Families.Get()[n(0)])
	if inet(n(0)) {
		o.add("addr", text(vs[1]))
		o.add("port", n(2))
	}
	return object{{"sockaddr_arg", o}}
}
