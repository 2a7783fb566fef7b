package tetragon

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/gotrace/gotrace/runtime/lazy"
)

// Show is the form in which an argument is shown.
type Show uint8

const (
	ShowNothing Show = iota
	ShowInt
	ShowUint
	ShowLong
	ShowSize
	ShowString
	ShowBytes
	ShowVec
	ShowPath
	ShowFile
	ShowSock
	ShowSkb
	ShowSockaddr
	ShowSockaddrUn
	ShowCred
	ShowUserNS
	ShowCapability
	ShowCaps
	ShowBPFAttr
	ShowBPFMap
	ShowBPFProg
	ShowBPFCmd
	ShowPerfEvent
	ShowModule
	ShowBinprm
	ShowNetDev
	ShowSyscall
)

// class is what the operators of selectors see in an argument.
type class uint8

const (
	noClass     class = iota
	numberClass       // an integer
	textClass         // a string or a path
	socketClass       // addresses and ports
)

// argType is a type of arguments in policies. In its expressions, $ stands for the
// argument: for the variable with the word that it is, or with a pointer of the C type.
type argType struct {
	c      string   // C type of the variable
	class  class    // and what operators see, for numberClass and textClass:
	value  string   // expression, or "" for the variable
	signed bool     // numbers only
	names  numbers  // names of numbers, or nil
	show   Show     //
	fields []string // the values in the record; @ stands for value
	mode   string   // expression of a file's mode, for the operator FileType
}

// numbers are numbers with names.
type numbers struct {
	table  map[string]uint64
	prefix string
}

//go:noinline
func integer(c string, signed bool, show Show) *argType {
	return &argType{c: c, class: numberClass, signed: signed, show: show, fields: []string{"@"}}
}

// argTypes are the types by their names in policies.
var argTypes = lazy.Value[map[string]*argType]{New: func() map[string]*argType {
	file := &argType{
		c: "struct file*", class: textClass, value: "path($)", show: ShowFile,
		fields: []string{"@", "$.f_inode.i_mode"}, mode: "$.f_inode.i_mode",
	}
	sock := &argType{c: "struct sock*", class: socketClass, show: ShowSock, fields: sockFields("$")}
	text := &argType{class: textClass, value: "tg_str($)", show: ShowString, fields: []string{"@"}}
	caps := &argType{class: numberClass, value: "tg_caps($)", show: ShowCaps, fields: []string{"@"}}
	m := map[string]*argType{
		"int": integer("int32", true, ShowInt), "sint32": integer("int32", true, ShowInt), "int32": integer("int32", true, ShowInt),
		"sint8": integer("int8", true, ShowInt), "int8": integer("int8", true, ShowInt), "uint8": integer("uint8", false, ShowUint),
		"sint16": integer("int16", true, ShowInt), "int16": integer("int16", true, ShowInt), "uint16": integer("uint16", false, ShowUint),
		"uint32": integer("uint32", false, ShowUint), "ulong": integer("uint64", false, ShowSize), "uint64": integer("uint64", false, ShowSize),
		"size_t": integer("uint64", false, ShowSize), "long": integer("int64", true, ShowLong), "sint64": integer("int64", true, ShowLong),
		"int64":       integer("int64", true, ShowLong),
		"string":      text,
		"char_buf":    {class: textClass, value: "tg_bytes($, %)", show: ShowBytes, fields: []string{"@", "(int64)(%)"}},
		"const_buf":   {class: textClass, value: "tg_bytes($, %)", show: ShowBytes, fields: []string{"@", "(int64)(%)"}},
		"char_iovec":  {show: ShowVec, fields: []string{"tg_vec($, 0, %)", "tg_vec($, 1, %)", "tg_vec($, 2, %)", "tg_vec($, 3, %)", "(int64)(%)"}},
		"skb":         {c: "struct sk_buff*", class: socketClass, show: ShowSkb, fields: skbFields("$")},
		"sock":        sock,
		"socket":      {c: "struct socket*", class: socketClass, show: ShowSock, fields: sockFields("$.sk")},
		"sockaddr":    {class: socketClass, show: ShowSockaddr, fields: sockaddrFields("$")},
		"sockaddr_un": {class: textClass, value: "tg_sun_path($)", show: ShowSockaddrUn, fields: []string{"tg_peek2($, 0)", "@"}},
		"fd": {
			c: "int32", class: textClass, value: "path(tg_file($))", show: ShowFile,
			fields: []string{"@", "tg_file($).f_inode.i_mode"}, mode: "tg_file($).f_inode.i_mode",
		},
		"file":     file,
		"filename": {c: "struct filename*", class: textClass, value: "str(kptr($.name))", show: ShowString, fields: []string{"@"}},
		"path": {
			c: "struct path*", class: textClass, value: "path($)", show: ShowPath,
			fields: []string{"@", "$.dentry.d_inode.i_mode"}, mode: "$.dentry.d_inode.i_mode",
		},
		"dentry": {
			c: "struct dentry*", class: textClass, value: "path($)", show: ShowPath,
			fields: []string{"@", "$.d_inode.i_mode"}, mode: "$.d_inode.i_mode",
		},
		"linux_binprm": {
			c: "struct linux_binprm*", class: textClass, value: "path($)", show: ShowBinprm,
			fields: []string{"@", "$.file.f_inode.i_mode"}, mode: "$.file.f_inode.i_mode",
		},
		"kiocb": {
			c: "struct kiocb*", class: textClass, value: "path($.ki_filp)", show: ShowFile,
			fields: []string{"@", "$.ki_filp.f_inode.i_mode"}, mode: "$.ki_filp.f_inode.i_mode",
		},
		"iov_iter": {c: "struct iov_iter*", class: textClass, value: "tg_bytes(tg_iter_at($), tg_iter_len($))", show: ShowBytes, fields: []string{"@", "(int64)$.count"}},
		"nop":      {show: ShowNothing},
		"bpf_attr": {c: "union bpf_attr*", show: ShowBPFAttr, fields: []string{"$.prog_type", "$.insn_cnt", "str($.prog_name)"}},
		"bpf_map": {c: "struct bpf_map*", show: ShowBPFMap, fields: []string{
			"(uint32)$.map_type", "$.key_size", "$.value_size", "$.max_entries", "str($.name)"}},
		"bpf_prog": {c: "struct bpf_prog*", show: ShowBPFProg, fields: []string{"(uint32)$.type", "$.len", "str($.aux.name)"}},
		"perf_event": {c: "struct perf_event*", show: ShowPerfEvent, fields: []string{
			"$.attr.type", "$.attr.config", "tg_perf_func($)", "$.attr.config2"}},
		"user_namespace": {c: "struct user_namespace*", show: ShowUserNS, fields: []string{
			"$.level", "$.owner.val", "$.group.val", "$.ns.inum"}},
		"capability": {c: "int32", class: numberClass, signed: true, names: numbers{capabilities.Get(), "CAP_"}, show: ShowCapability, fields: []string{"@"}},
		"bpf_cmd":    {c: "int32", class: numberClass, signed: true, names: numbers{bpfCommands.Get(), "BPF_"}, show: ShowBPFCmd, fields: []string{"@"}},
		"cred": {c: "struct cred*", show: ShowCred, fields: []string{
			"$.uid.val", "$.gid.val", "$.suid.val", "$.sgid.val", "$.euid.val", "$.egid.val", "$.fsuid.val", "$.fsgid.val", "$.securebits",
			"tg_caps((uint64)$ + offsetof(struct cred, cap_permitted))", "tg_caps((uint64)$ + offsetof(struct cred, cap_effective))",
			"tg_caps((uint64)$ + offsetof(struct cred, cap_inheritable))",
			"$.user_ns.level", "$.user_ns.owner.val", "$.user_ns.group.val", "$.user_ns.ns.inum"}},
		"load_info":       {c: "struct load_info*", class: textClass, value: "str(kptr($.name))", show: ShowModule, fields: []string{"@", "(uint64)$.sig_ok", "(uint64)0"}},
		"module":          {c: "struct module*", class: textClass, value: "str($.name)", show: ShowModule, fields: []string{"@", "tg_signed($)", "(uint64)$.taints"}},
		"kernel_cap_t":    caps,
		"cap_inheritable": caps,
		"cap_permitted":   caps,
		"cap_effective":   caps,
		"net_device":      {c: "struct net_device*", class: textClass, value: "str($.name)", show: ShowNetDev, fields: []string{"@"}},
		"syscall64":       {c: "int64", class: numberClass, value: "tg_call($)", signed: true, show: ShowSyscall, fields: []string{"@"}},
		"data_loc":        {class: textClass, value: "tg_str($)", show: ShowString, fields: []string{"@"}},
	}
	return m
}}

func sockFields(s string) []string {
	return strings.Split(strings.ReplaceAll("#.__sk_common.skc_family|#.sk_type|#.sk_protocol|#.sk_mark|#.sk_priority|tg_laddr(#)|tg_raddr(#)|#.__sk_common.skc_num|bswap(#.__sk_common.skc_dport)|(uint64)#.__sk_common.skc_cookie.counter|#.__sk_common.skc_state", "#", s), "|")
}

func skbFields(s string) []string {
	return strings.Split(strings.ReplaceAll("#.hash|#.len|#.priority|#.mark|tg_skb_addr(#, 0)|tg_skb_addr(#, 1)|tg_skb_port(#, 0)|tg_skb_port(#, 2)|bswap((uint16)#.protocol)|tg_skb_proto(#)|tg_skb_family(#)", "#", s), "|")
}

func sockaddrFields(s string) []string {
	return strings.Split(strings.ReplaceAll("tg_peek2(#, 0)|tg_sa_addr(#)|bswap(tg_peek2(#, 2))", "#", s), "|")
}

// socketPart is a part of a socket that operators compare.
type socketPart uint8

const (
	sockFamily socketPart = iota
	sockProtocol
	sockState
	sockSource
	sockTarget
	sockSourcePort
	sockTargetPort
)

// partOf returns the expression of a part of an argument, or "" if it has none.
func (t *argType) partOf(part socketPart) string {
	var at map[socketPart]int
	switch t.show {
	case ShowSock:
		at = map[socketPart]int{sockFamily: 0, sockProtocol: 2, sockState: 10, sockSource: 5, sockTarget: 6, sockSourcePort: 7, sockTargetPort: 8}
	case ShowSkb:
		at = map[socketPart]int{sockFamily: 10, sockProtocol: 9, sockSource: 4, sockTarget: 5, sockSourcePort: 6, sockTargetPort: 7}
	case ShowSockaddr:
		at = map[socketPart]int{sockFamily: 0, sockSource: 1, sockTarget: 1, sockSourcePort: 2, sockTargetPort: 2}
	}
	i, ok := at[part]
	if !ok {
		return ""
	}
	return t.fields[i]
}

// fill replaces the placeholders of an expression of a type: $ by the variable, @ by the
// value and % by the size.
func fill(expr, variable, value, size string) string {
	expr = strings.ReplaceAll(expr, "@", value)
	expr = strings.ReplaceAll(expr, "%", size)
	return replaceVar(expr, variable)
}

// replaceVar replaces $ where it stands alone.
func replaceVar(expr, variable string) string {
	var b bytes.Buffer
	for i := 0; i < len(expr); i++ {
		if expr[i] == '$' && (i+1 == len(expr) || !isWord(expr[i+1])) {
			b.WriteString(variable)
			continue
		}
		b.WriteByte(expr[i])
	}
	return b.String()
}

//go:noinline
func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// prelude holds the macros that scripts use, by name. Each may use others.
var prelude = lazy.Value[map[string]string]{New: func() map[string]string {
	return map[string]string{
		"tg_str": `// tg_str(p) is the string at an address of the kernel or of the process.
macro tg_str(p) { let $p = (uint64)p; ($p >> 63) != 0 ? str(kptr($p)) : str(uptr($p)) }
`,
		"tg_head": `// tg_head(p) is the first 40 bytes of the string at an address of the kernel or of the process.
macro tg_head(p) { let $p = (uint64)p; ($p >> 63) != 0 ? str(kptr($p), 41) : str(uptr($p), 41) }
`,
		"tg_bytes": `// tg_bytes(p, n) is n bytes at an address of the kernel or of the process.
macro tg_bytes(p, n) { let $p = (uint64)p; let $n = n; ($p >> 63) != 0 ? buf(kptr($p), $n) : buf(uptr($p), $n) }
`,
		"tg_strn": `// tg_strn(p, n) is the string of at most n bytes at an address of the kernel or of the process.
macro tg_strn(p, n)
{
  let $p = (uint64)p;
  let $n = (uint64)n + 1;
  ($p >> 63) != 0 ? str(kptr($p), $n) : str(uptr($p), $n)
}
`,
		"tg_peek2": `// tg_peek2(p, n) is the 16-bit word n bytes after an address of the kernel or of the process.
macro tg_peek2(p, n)
{
  let $p = (uint64)p + n;
  ($p >> 63) != 0 ? *(uint16*)kptr($p) : *(uint16*)uptr($p)
}
`,
		"tg_call": `// tg_call(n) is the number of a system call, with bit 31 set if a 32-bit program makes it on
// amd64: its numbers are others.
macro tg_call(n)
{
  let $n = (int64)n;
  if comptime (has_member(curtask.thread_info, "status")) {
    $n | (int64)(((uint64)curtask.thread_info.status & 2) << 30)
  } else {
    $n
  }
}
`,
		"tg_caps": `// tg_caps(p) is the set of capabilities at an address of the kernel.
macro tg_caps(p) { *(uint64*)kptr((uint64)p) }
`,
		"tg_vec": `// tg_vec(p, i, n) is the bytes of element i of an array of n struct iovec.
macro tg_vec(p, i, n)
{
  let $p = (uint64)p + 16 * i;
  let $n = (uint64)n;
  let $k = ($p >> 63) != 0;
  let $at = $n > i ? ($k ? *(uint64*)kptr($p) : *(uint64*)uptr($p)) : (uint64)0;
  let $len = $n > i ? ($k ? *(uint64*)kptr($p + 8) : *(uint64*)uptr($p + 8)) : (uint64)0;
  buf(uptr($at), $len, 1024)
}
`,
		"tg_file": `// tg_file(n) is the open file of descriptor n of the current process.
macro tg_file(n)
{
  let $t = curtask.files.fdt;
  let $n = (uint64)(uint32)n;
  (struct file*)($n < $t.max_fds ? (uint64)$t.fd[$n] : (uint64)0)
}
`,
		"tg_laddr": `// tg_laddr(s) and tg_raddr(s) are the addresses of a socket's ends.
macro tg_laddr(s)
{
  let $s = s;
  $s.__sk_common.skc_family == 10
    ? ntop($s.__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8)
    : ntop($s.__sk_common.skc_rcv_saddr)
}
`,
		"tg_raddr": `macro tg_raddr(s)
{
  let $s = s;
  $s.__sk_common.skc_family == 10
    ? ntop($s.__sk_common.skc_v6_daddr.in6_u.u6_addr8)
    : ntop($s.__sk_common.skc_daddr)
}
`,
		"tg_ip": `// tg_ip(skb) is the address of the header of IP of a packet.
macro tg_ip(skb) { kptr((uint64)skb.head + skb.network_header) }
`,
		"tg_skb_v6": `macro tg_skb_v6(skb) { skb.protocol == 0xdd86 }
`,
		"tg_skb_family": `// tg_skb_family(skb) is the family of a packet's addresses, or 0.
macro tg_skb_family(skb) { skb.protocol == 0xdd86 ? 10 : (skb.protocol == 8 ? 2 : 0) }
`,
		"tg_skb_proto": `// tg_skb_proto(skb) is the protocol of a packet of IP.
macro tg_skb_proto(skb)
{
  let $ip = tg_ip(skb);
  tg_skb_v6(skb) ? *(uint8*)($ip + 6) : (skb.protocol == 8 ? *(uint8*)($ip + 9) : (uint8)0)
}
`,
		"tg_skb_addr": `// tg_skb_addr(skb, i) is the source or, if i is 1, the target of a packet.
macro tg_skb_addr(skb, i)
{
  let $ip = tg_ip(skb);
  tg_skb_v6(skb)
    ? ntop(((struct in6_addr*)($ip + 8 + 16 * i)).in6_u.u6_addr8)
    : ntop(*(uint32*)($ip + 12 + 4 * i))
}
`,
		"tg_skb_port": `// tg_skb_port(skb, n) is the port n bytes after the start of the header after IP's.
macro tg_skb_port(skb, n)
{
  let $ip = tg_ip(skb);
  let $p = (uint32)tg_skb_proto(skb);
  let $at = $ip + (tg_skb_v6(skb) ? (uint64)40 : (uint64)(*(uint8*)$ip & 15) * 4) + n;
  $p == 6 || $p == 17 || $p == 132 || $p == 136 ? bswap(*(uint16*)$at) : (uint16)0
}
`,
		"tg_sa_addr": `// tg_sa_addr(p) is the address in a struct sockaddr.
macro tg_sa_addr(p)
{
  let $p = (uint64)p;
  let $v6 = tg_peek2($p, 0) == 10;
  ($p >> 63) != 0
    ? ($v6 ? ntop(((struct in6_addr*)kptr($p + 8)).in6_u.u6_addr8) : ntop(*(uint32*)kptr($p + 4)))
    : ($v6 ? ntop(((struct in6_addr*)uptr($p + 8)).in6_u.u6_addr8) : ntop(*(uint32*)uptr($p + 4)))
}
`,
		"tg_sun_path": `// tg_sun_path(p) is the path in a struct sockaddr_un.
macro tg_sun_path(p) { tg_peek2(p, 0) == 1 ? tg_str((uint64)p + 2) : "" }
`,
		"tg_iter_vec": `// tg_iter_vec(i) is the address of the first struct iovec of a struct iov_iter.
macro tg_iter_vec(i)
{
  if comptime (has_member(i, "__iov")) { kptr((uint64)i.__iov) } else { kptr((uint64)i.iov) }
}
`,
		"tg_iter_flat": `// tg_iter_flat(i) tells whether a struct iov_iter has one part that is not in a list.
macro tg_iter_flat(i)
{
  if comptime (has_member(i, "ubuf")) { i.iter_type == ITER_UBUF } else { false }
}
`,
		"tg_iter_at": `// tg_iter_at(i) is the address of the first part of a struct iov_iter, tg_iter_len(i) its size.
macro tg_iter_at(i)
{
  let $i = i;
  let $at = tg_iter_flat($i) ? (uint64)0 : *(uint64*)tg_iter_vec($i);
  if comptime (has_member($i, "ubuf")) {
    if (tg_iter_flat($i)) { $at = (uint64)$i.ubuf; }
  }
  $at + (uint64)$i.iov_offset
}
`,
		"tg_iter_len": `macro tg_iter_len(i)
{
  let $i = i;
  tg_iter_flat($i) ? (uint64)$i.count : *(uint64*)(tg_iter_vec($i) + 8)
}
`,
		"tg_perf_func": `// tg_perf_func(e) is the function of a kprobe.
macro tg_perf_func(e) { let $p = (uint64)e.attr.config1; e.attr.type > 5 ? tg_str($p) : "" }
`,
		"tg_signed": `// tg_signed(m) tells whether a module has a valid signature.
macro tg_signed(m) { if comptime (has_member(m, "sig_ok")) { (uint64)m.sig_ok } else { (uint64)0 } }
`,
		"tg_pid_ns": `// tg_pid_ns() is the namespace of process IDs that the current task is in.
macro tg_pid_ns() { let $p = curtask.thread_pid; __exec_upid($p, $p.level).ns.ns.inum }
`,
		"tg_ns_pid": `// tg_ns_pid() is the ID of the current process in its namespace, or 0 in the host's.
macro tg_ns_pid()
{
  let $p = curtask.group_leader.thread_pid;
  $p.level == 0 ? (int32)0 : __exec_upid($p, $p.level).nr
}
`,
		"tg_under": `// tg_under(n) tells whether the current process or one above it has an ID.
macro tg_under(n)
{
  let $t = curtask.group_leader;
  let $found = false;
  let $i = 0;
  while ($i < 32 && !$found && $t.tgid != 0) {
    $found = $t.tgid == n;
    $t = $t.real_parent.group_leader;
    $i++;
  }
  $found
}
`,
		"tg_ns_under": `// tg_ns_under(n) is tg_under for IDs in the namespace of the current process, which is not
// the host's.
macro tg_ns_under(n)
{
  let $t = curtask.group_leader;
  let $level = $t.thread_pid.level;
  let $ns = (uint64)__exec_upid($t.thread_pid, $level).ns;
  let $found = tg_ns_pid() == n;
  let $in = $level > 0;
  let $i = 0;
  while ($i < 32 && !$found && $in) {
    let $p = $t.thread_pid;
    $in = $p.level >= $level && (uint64)__exec_upid($p, $level).ns == $ns;
    $found = $in && __exec_upid($p, $level).nr == n;
    $t = $t.real_parent.group_leader;
    $i++;
  }
  $found
}
`,
		"tg_exe": `// tg_exe(t) is the program that a task runs.
macro tg_exe(t) { let $mm = t.mm; $mm != 0 ? path($mm.exe_file) : "" }
`,
	}
}}

// order of the macros in a script.
var preludeOrder = []string{
	"tg_str", "tg_strn", "tg_head", "tg_bytes", "tg_peek2", "tg_call", "tg_caps", "tg_vec", "tg_file", "tg_laddr", "tg_raddr", "tg_ip", "tg_skb_v6", "tg_skb_family",
	"tg_skb_proto", "tg_skb_addr", "tg_skb_port", "tg_sa_addr", "tg_sun_path", "tg_iter_vec", "tg_iter_flat", "tg_iter_at", "tg_iter_len", "tg_perf_func", "tg_signed", "tg_pid_ns",
	"tg_ns_pid", "tg_under", "tg_ns_under", "tg_exe",
}

// macrosOf returns the macros that a script uses, with those that they use.
func macrosOf(text string) string {
	used := map[string]bool{}
	var use func(text string)
	use = func(text string) {
		for name := range prelude.Get() {
			if !used[name] && strings.Contains(text, name+"(") {
				used[name] = true
				use(prelude.Get()[name])
			}
		}
	}
	use(text)
	var b bytes.Buffer
	for _, name := range preludeOrder {
		if used[name] {
			fmt.Fprintln(&b, prelude.Get()[name])
		}
	}
	return b.String()
}
