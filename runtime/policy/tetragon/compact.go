package tetragon

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/gotrace/gotrace/lang/policy/tetragon"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/policy/procs"
	"github.com/gotrace/gotrace/runtime/value"
)

// lineHead returns the beginning of a compact line: a sign, what happened, where and the
// program.
func (s *Sink) lineHead(sign, what string, p *procs.Process) string {
	binary := p.Path
	if binary == "" {
		binary = p.Comm
	}
	if s.format == Text {
		return fmt.Sprintf("%s %s[%d]", what, binary, p.PID)
	}
	return fmt.Sprintf("%s %-7s %s %s", sign, what, s.node, binary)
}

// baseLine returns the line about the start or the end of a program.
func (s *Sink) baseLine(kind tetragon.Kind, p *procs.Process) string {
	if kind == tetragon.Exec {
		return join(s.lineHead("🚀", "process", p), arguments(p))
	}
	status := fmt.Sprint(p.ExitCode >> 8 & 0xff)
	if sig := p.ExitCode & 0x7f; sig != 0 {
		status = signalName(sig)
	}
	return join(s.lineHead("💥", "exit", p), arguments(p), status)
}

func join(parts ...string) string {
	var list []string
	for _, p := range parts {
		if p != "" {
			list = append(list, p)
		}
	}
	return strings.Join(list, " ")
}

// signs are the signs and words for functions that have special ones.
var signs = lazy.Table[map[string]struct{ sign, what string }]{New: func() map[string]struct{ sign, what string } {
	return map[string]struct{ sign, what string }{
		"__x64_sys_open": {"📬", "open"}, "__x64_sys_openat": {"📬", "open"}, "fd_install": {"📬", "open"}, "security_file_open": {"📬", "open"},
		"__x64_sys_close": {"📪", "close"}, "__x64_sys_write": {"📝", "write"}, "__x64_sys_read": {"📚", "read"},
		"__x64_sys_mount": {"💾", "mount"}, "__x64_sys_setuid": {"🔑", "setuid"}, "__x64_sys_clock_settime": {"⏰", "clock_settime"},
		"__x64_sys_pivot_root": {"💾", "pivot_root"}, "__x64_sys_kill": {"🔪", "kill"}, "__x64_sys_ptrace": {"🔬", "ptrace"},
		"tcp_connect": {"🔌", "connect"}, "security_socket_connect": {"🔌", "connect"}, "tcp_close": {"🧹", "close"},
		"tcp_sendmsg": {"📤", "sendmsg"}, "security_bprm_check": {"🚀", "bprm"}, "bpf_check": {"🐝", "bpf_load"},
		"security_perf_event_alloc": {"🐝", "perf_event_alloc"}, "security_bpf_map_alloc": {"🗺", "bpf_map_create"}, "security_bpf_map_create": {"🗺", "bpf_map_create"},
		"wake_up_new_task": {"🆕", "task"}, "proc_exec_connector": {"🔧", "proc_exec"}, "security_kernel_module_request": {"🧰", "module"},
	}
}}

// head returns the beginning of the line of an event.
func (s *Sink) head(r record) string {
	switch r.event.Kind {
	case tetragon.Tracepoint:
		return s.lineHead("⁉️", "tracepoint", r.process) + " " + r.event.Subsys + " " + r.event.Event
	case tetragon.LSM:
		return s.lineHead("🔒", "LSM", r.process) + " " + r.function
	case tetragon.Uprobe:
		return s.lineHead("🕵️", "uprobe", r.process) + " " + r.event.Path + " " + r.function
	case tetragon.Usdt:
		return s.lineHead("🕵️", "usdt", r.process) + " " + r.event.Path + " " + r.event.Provider + " " + r.function
	case tetragon.Loader:
		return s.lineHead("📚", "loader", r.process)
	}
	if k, ok := signs.Get()[r.function]; ok {
		return s.lineHead(k.sign, k.what, r.process)
	}
	return s.lineHead("❓", "syscall", r.process) + " " + r.function
}

// compact returns the line of an event.
func (s *Sink) compact(r record) string {
	parts := []string{s.head(r)}
	for i := range r.event.Args {
		parts = append(parts, plainArg(&r.event.Args[i], r.args[i]))
	}
	if r.hasResult {
		parts = append(parts, "= "+plainArg(r.event.Return, r.result))
	}
	return join(append(parts, verdict(r))...)
}

// verdict returns the mark of an event whose action affects the process.
func verdict(r record) string {
	action := strings.TrimPrefix(r.outcome.Action, "KPROBE_ACTION_")
	switch {
	case r.outcome.Audit:
		return "AUDIT " + action
	case action == "POST" || action == "NOPOST":
		return ""
	}
	return action
}

// plain returns the plain line of an event.
func (s *Sink) plain(r record) string {
	name := r.function
	if r.event.Kind == tetragon.Tracepoint {
		name = r.event.Subsys + ":" + r.event.Event
	}
	parts := []string{r.time.Format("15:04:05.000000"), r.event.Policy + ":", s.lineHead("", name, r.process)}
	for i := range r.event.Args {
		a := &r.event.Args[i]
		arg := plainArg(a, r.args[i])
		if a.Label != "" {
			arg = a.Label + "=" + arg
		}
		parts = append(parts, arg)
	}
	if r.hasResult {
		parts = append(parts, "= "+plainArg(r.event.Return, r.result))
	}
	return join(append(parts, verdict(r), r.event.Message)...)
}

// plainArg returns the text of an argument in a line.
func plainArg(a *tetragon.Arg, vs []value.Value) string {
	if len(vs) < a.Fields {
		return "?"
	}
	n := func(i int) uint64 { return nth(vs, i) }
	switch a.Show {
	case tetragon.ShowSock:
		return fmt.Sprintf("%s %s:%d -> %s:%d", protocol(n(2)), text(vs[5]), n(7), text(vs[6]), n(8))
	case tetragon.ShowSkb:
		return fmt.Sprintf("%s %s:%d -> %s:%d len %d", protocol(n(9)), text(vs[4]), n(6), text(vs[5]), n(7), n(1))
	case tetragon.ShowSockaddr:
		if n(0) != 2 && n(0) != 10 {
			return tetragon.Families.Get()[n(0)]
		}
		return fmt.Sprintf("%s %s:%d", tetragon.Families.Get()[n(0)], text(vs[1]), n(2))
	case tetragon.ShowBytes:
		return fmt.Sprintf("bytes %d", dataSize(vs))
	case tetragon.ShowVec:
		total := 0
		for _, v := range vs[:4] {
			total += len(data(v))
		}
		return fmt.Sprintf("bytes %d", total)
	case tetragon.ShowCapability:
		return tetragon.Capabilities.Get()[n(0)]
	case tetragon.ShowBPFCmd:
		return tetragon.BPFCommands.Get()[n(0)]
	case tetragon.ShowBPFAttr, tetragon.ShowBPFProg:
		return programType(n(0)) + " " + text(vs[2])
	case tetragon.ShowBPFMap:
		return mapType(n(0)) + " " + text(vs[4])
	case tetragon.ShowSockaddrUn:
		return text(vs[1])
	case tetragon.ShowPerfEvent:
		return join(perfTypes[n(0)], text(vs[2]))
	case tetragon.ShowCred:
		return fmt.Sprintf("uid=%d euid=%d gid=%d egid=%d", n(0), n(4), n(1), n(5))
	case tetragon.ShowUserNS:
		return fmt.Sprintf("userns %d", n(3))
	case tetragon.ShowSize:
		return fmt.Sprint(n(0))
	}
	return text(vs[0])
}

// dataSize returns the number of bytes of the data. The record may have only the first of
// them.
func dataSize(vs []value.Value) int64 {
	size := int64(len(data(vs[0])))
	if n := number(vs[1]); n > size && n < maxData {
		size = n
	}
	return size
}

func protocol(n uint64) string {
	return strings.ToLower(strings.TrimPrefix(tetragon.Protocols.Get()[n], "IPPROTO_"))
}

// oneLine returns a text with escapes for control characters.
func oneLine(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	var b bytes.Buffer
	for _, c := range s {
		if unicode.IsControl(c) {
			q := strconv.QuoteRune(c)
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}
