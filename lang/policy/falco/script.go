package falco

import (
	"bytes"
	"fmt"
	"sort"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/policy/procs"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// The values that every report has, in order, after the number of the event.
const (
	Time = 1 + iota // in nanoseconds since boot
	PID             // IDs of the process and the thread in the initial namespace
	TID
	Parent
	Comm
	EUID
	EGID
	LoginUID
	CapEffective
	CapPermitted
	CapInheritable
	TTY
	Session
	Group
	VPID // IDs in the process's own namespace
	VTID
	VSession
	VGroup
	Cgroup
	CPU
	Result // of the call
	common
)

const commonValues = `nsecs, $t.tgid, $t.pid, $t.real_parent.tgid, comm, $c.euid.val, $c.egid.val, $t.loginuid.val,
    *(uint64*)kptr((uint64)$c + offsetof(struct cred, cap_effective)),
    *(uint64*)kptr((uint64)$c + offsetof(struct cred, cap_permitted)),
    *(uint64*)kptr((uint64)$c + offsetof(struct cred, cap_inheritable)),
    __exec_tty($t), $t.signal.pids[3].numbers[0].nr, $t.signal.pids[2].numbers[0].nr,
    __exec_upid($t.signal.pids[1], $l).nr, __exec_upid($t.thread_pid, $l).nr, __exec_upid($t.signal.pids[3], $l).nr,
    __exec_upid($t.signal.pids[2], $l).nr, $t.cgroups.dfl_cgrp.kn.id, cpu, `

// pathSize is the maximum size of the path of a directory, in bytes.
const pathSize = 1024

// dataSize is the maximum number of bytes of the data that a call moves.
const dataSize = 256

// values are the expressions of values by their names, except a0 to a5 and s0 to s5. Those
// of files and sockets read $f, the file of the descriptor $fd.
var values = lazy.Table[map[string]string]{New: func() map[string]string {
	return map[string]string{
		"cwd":      fmt.Sprintf("path(curtask.fs.pwd, %d)", pathSize),
		"how0":     "*(uint64*)syscall_arg(2)",
		"how1":     "*((uint64*)syscall_arg(2) + 1)",
		"how2":     "*((uint64*)syscall_arg(2) + 2)",
		"clone3":   "*(uint64*)syscall_arg(0)",
		"pair0":    "*(int32*)syscall_arg(3)",
		"pair1":    "*((int32*)syscall_arg(3) + 1)",
		"pipe0":    "*(int32*)syscall_arg(0)",
		"pipe1":    "*((int32*)syscall_arg(0) + 1)",
		"mode":     "$f.f_inode.i_mode",
		"ino":      "$f.f_inode.i_ino",
		"dev":      "$f.f_inode.i_sb.s_dev",
		"rdev":     "$f.f_inode.i_rdev",
		"upper":    "__exec_upper($f.f_inode)",
		"overlay":  "$f.f_inode.i_sb.s_magic == 0x794c7630",
		"fdpath":   fmt.Sprintf("path($f.f_path, %d)", pathSize),
		"family":   "$sk.__sk_common.skc_family",
		"sktype":   "$sk.sk_type",
		"skproto":  "$sk.sk_protocol",
		"skstate":  "$sk.__sk_common.skc_state",
		"laddr4":   "$sk.__sk_common.skc_rcv_saddr",
		"raddr4":   "$sk.__sk_common.skc_daddr",
		"lport":    "$sk.__sk_common.skc_num",
		"rport":    "bswap($sk.__sk_common.skc_dport)",
		"laddr6a":  "*(uint64*)kptr((uint64)$sk + offsetof(struct sock_common, skc_v6_rcv_saddr))",
		"laddr6b":  "*(uint64*)kptr((uint64)$sk + offsetof(struct sock_common, skc_v6_rcv_saddr) + 8)",
		"raddr6a":  "*(uint64*)kptr((uint64)$sk + offsetof(struct sock_common, skc_v6_daddr))",
		"raddr6b":  "*(uint64*)kptr((uint64)$sk + offsetof(struct sock_common, skc_v6_daddr) + 8)",
		"sk":       "(uint64)$sk",
		"backlog":  "$sk.sk_max_ack_backlog",
		"bound":    "($sk.sk_userlocks & 8) != 0",
		"unixpath": "str(kptr((uint64)((struct unix_sock*)$sk).addr + offsetof(struct unix_address, name) + 2), 108)",
		"unixpeer": "(uint64)((struct unix_sock*)$sk).peer",
		"sa1":      "buf(uptr(syscall_arg(1)), syscall_arg(2) < 110 ? syscall_arg(2) : 110)",
		"sa4":      "buf(uptr(syscall_arg(4)), syscall_arg(5) < 110 ? syscall_arg(5) : 110)",
		"from4":    "buf(uptr(syscall_arg(4)), syscall_arg(4) == 0 || (int64)args.ret < 0 ? 0 : 28)",
		"from":     "buf(uptr(*(uint64*)syscall_arg(1)), (int64)args.ret < 0 ? 0 : 28)",
		"msg":      "buf(uptr(*(uint64*)syscall_arg(1)), *((uint32*)syscall_arg(1) + 2) < 110 ? *((uint32*)syscall_arg(1) + 2) : 110)",
		"data1":    fmt.Sprintf("buf(uptr(syscall_arg(1)), syscall_arg(2) < %[1]d ? syscall_arg(2) : %[1]d)", dataSize),
		"dataret1": fmt.Sprintf("buf(uptr(syscall_arg(1)), args.ret < 0 ? 0 : args.ret < %[1]d ? args.ret : %[1]d)", dataSize),
		"iov":      fmt.Sprintf("buf(uptr(*__fc_iov()), *(__fc_iov() + 1) < %[1]d ? *(__fc_iov() + 1) : %[1]d)", dataSize),
		"status":   "$t.exit_code",
		"majflt":   "$t.maj_flt",
		"minflt":   "$t.min_flt",
		"threads":  "$t.signal.nr_threads",
		"fdlimit":  "$t.signal.rlim[7].rlim_cur",
	}
}}

// fileValues are the values that tell what kind of file a descriptor refers to.
const fileValues = "mode ino dev fdpath family sktype skproto skstate laddr4 raddr4 lport rport laddr6a laddr6b raddr6a raddr6b sk backlog bound unixpath unixpeer"

// expression returns the expression of a value.
func expression(e *Event, name string) string {
	switch {
	case len(name) == 2 && name[0] == 'a' && name[1] >= '0' && name[1] <= '5':
		return fmt.Sprintf("syscall_arg(%c)", name[1])
	case len(name) == 2 && name[0] == 's' && name[1] >= '0' && name[1] <= '5':
		return fmt.Sprintf("str(syscall_arg(%c), %d)", name[1], procs.MaxStrlen)
	case len(name) == 2 && name[0] == 'd' && name[1] >= '0' && name[1] <= '5':
		return fmt.Sprintf("__fc_dir((int32)syscall_arg(%c))", name[1])
	}
	return values.Get()[name]
}

const macros = `
// __fc_file(fd) is the open file of a descriptor.
macro __fc_file(fd) { curtask.files.fdt.fd[fd] }

// __fc_cwd() and __fc_base(fd) are the last names of the current directory and of an open
// one.
macro __fc_cwd() { str(curtask.fs.pwd.dentry.d_name.name, 128) }
macro __fc_base(fd) { str(__fc_file(fd).f_path.dentry.d_name.name, 128) }

// __fc_iov() is the first piece of the data of sendmsg.
macro __fc_iov() { (uint64*)uptr(*((uint64*)syscall_arg(1) + 2)) }

// __fc_dir(fd) is the path of the directory that a path starts from.
macro __fc_dir(fd) { path(__fc_file(fd).f_path, 1024) }
`

// Watched is a type of events that the script reports.
type Watched struct {
	Event *Event
	Rules []RuleOf
	Index map[string]int // of each value in the report

	names      []string
	start, end int // of its part of the script
}

// Holds reports whether a place in the script belongs to the event.
func (w *Watched) Holds(at source.Span) bool { return w.start <= at.Start && at.Start < w.end }

// RuleOf is a rule with the part of its condition that the type of the event does not
// decide.
type RuleOf struct {
	*Rule
	Condition Expr
}

// need adds values to the report of the event.
//
//go:noinline
func (w *Watched) need(names ...string) {
	for _, name := range names {
		if name != "" && !policy.Among(w.names, name) {
			w.names = append(w.names, name)
		}
	}
}

// fdExpr returns the expression of an event's descriptor, or "".
func (e *Event) fdExpr() string {
	switch {
	case e.Creates:
		return "(int32)args.ret"
	case e.Uses:
		return "(int32)syscall_arg(0)"
	}
	return ""
}

// script writes the script that reports the events.
func (p *Program) writeScript() *source.File {
	b := source.Builder{Words: policy.Words}
	b.Printf("config = { max_strlen = %d; perf_rb_pages = %d; missing_probes = \"ignore\" }\n", procs.MaxStrlen, ringPages)
	procs.Write(&b, procs.Details{Env: p.Env, File: p.File})
	b.Write(macros)
	for i, w := range p.Watched {
		if w.Event.Syscall == "" {
			continue
		}
		b.From(w.Rules[0].At)
		w.start = b.Len()
		b.Printf("\ntracepoint:syscalls:sys_exit_%s", w.Event.Syscall)
		x := filterOf(w, false)
		switch {
		case p.self == 0 && x != unknown:
			b.Printf(" /%s/", x)
		case p.self != 0 && x != unknown:
			b.Printf(" /pid != %d && (%s)/", p.self, x)
		case p.self != 0:
			b.Printf(" /pid != %d/", p.self)
		}
		b.Write("\n{\n")
		w.writePathFilter(&b)
		b.Write("  $t = curtask;\n  $c = $t.cred;\n  $l = $t.thread_pid.level;\n")
		sort.SliceStable(w.names, func(i, j int) bool { return !isString(w.Event, w.names[i]) && isString(w.Event, w.names[j]) })
		w.Index = map[string]int{}
		at := common
		var text bytes.Buffer
		file, sock := false, false
		for _, name := range w.names {
			x := expression(w.Event, name)
			if x == "" || p.noUnix && strings.Contains(x, "struct unix_") {
				continue
			}
			w.Index[name] = at
			at++
			file = file || strings.Contains(x, "$f.") || strings.Contains(x, "$sk")
			sock = sock || strings.Contains(x, "$sk")
			text.WriteString(",\n    " + x)
		}
		if file {
			b.Printf("  $f = __fc_file(%s);\n", w.Event.fdExpr())
		}
		if sock {
			b.Write("  $sk = ((struct socket*)$f.private_data).sk;\n")
		}
		b.Printf("  report(%d, %s", i, commonValues)
		b.Printf("args.ret%s);\n}\n", text.String())
		w.end = b.Len()
	}
	return b.File("rules")
}

// isString reports whether a value has no fixed size. Such values are last in a report, as
// the verifier then needs less time.
func isString(e *Event, name string) bool {
	x := expression(e, name)
	for _, prefix := range []string{"str(", "buf(", "path(", "__fc_dir("} {
		if strings.HasPrefix(x, prefix) {
			return true
		}
	}
	return false
}

// writePathFilter writes a test of the opened path. It is the last test, because it has
// to read the path.
func (w *Watched) writePathFilter(b *source.Builder) {
	n := w.Event.openName()
	set, x := shared(w)
	if n < 0 || x == unknown || x == filterOf(w, false) {
		return
	}
	at := "-100"
	if n == 1 {
		at = "(int32)syscall_arg(0)"
	}
	b.Printf("  $n = str(syscall_arg(%d), 256);\n  $at = %s;\n%s  if (!(%s)) {\n    return;\n  }\n", n, at, set, x)
}

// ringPages is the size of the ring buffer, in pages of 4 KiB.
const ringPages = 8192
