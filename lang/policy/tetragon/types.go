package tetragon

import (
	"bytes"
	"fmt"
	"slices"
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

// class is the kind of value that operators of selectors compare.
type class uint8

const (
	noClass     class = iota
	numberClass       // an integer
	textClass         // a string or a path
	socketClass       // addresses and ports
)

// argType is a type of arguments in policies. In its expressions, $ stands for the
// variable with the argument: a word, or a pointer of the C type.
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

// typeTable has a line for each type, or for several equal types: the names in policies,
// the C type, the class for operators (n: an unsigned number, i: a signed number, t: a
// text, s: the ends of a connection), the form in which it is shown, the value, the
// fields and the mode.
const typeTable = `
bpf_attr; union bpf_attr*; -; BPFAttr; ; $.prog_type|$.insn_cnt|str($.prog_name)
bpf_cmd; int32; i; BPFCmd; ; @
bpf_map; struct bpf_map*; -; BPFMap; ; (uint32)$.map_type|$.key_size|$.value_size|$.max_entries|str($.name)
bpf_prog; struct bpf_prog*; -; BPFProg; ; (uint32)$.type|$.len|str($.aux.name)
cap_effective cap_inheritable cap_permitted kernel_cap_t; ; n; Caps; tg_caps($); @
capability; int32; i; Capability; ; @
char_buf const_buf; ; t; Bytes; tg_bytes($, %); @|(int64)(%)
char_iovec; ; -; Vec; ; tg_vec($, 0, %)|tg_vec($, 1, %)|tg_vec($, 2, %)|tg_vec($, 3, %)|(int64)(%)
cred; struct cred*; -; Cred; ; $.uid.val|$.gid.val|$.suid.val|$.sgid.val|$.euid.val|$.egid.val|$.fsuid.val|$.fsgid.val|$.securebits|tg_caps((uint64)$ + offsetof(struct cred, cap_permitted))|tg_caps((uint64)$ + offsetof(struct cred, cap_effective))|tg_caps((uint64)$ + offsetof(struct cred, cap_inheritable))|$.user_ns.level|$.user_ns.owner.val|$.user_ns.group.val|$.user_ns.ns.inum
data_loc string; ; t; String; tg_str($); @
dentry; struct dentry*; t; Path; path($); @|$.d_inode.i_mode; $.d_inode.i_mode
fd; int32; t; File; path(tg_file($)); @|tg_file($).f_inode.i_mode; tg_file($).f_inode.i_mode
file; struct file*; t; File; path($); @|$.f_inode.i_mode; $.f_inode.i_mode
filename; struct filename*; t; String; str(kptr($.name)); @
int int32 sint32; int32; i; Int; ; @
int16 sint16; int16; i; Int; ; @
int64 long sint64; int64; i; Long; ; @
int8 sint8; int8; i; Int; ; @
iov_iter; struct iov_iter*; t; Bytes; tg_bytes(tg_iter_at($), tg_iter_len($)); @|(int64)$.count
kiocb; struct kiocb*; t; File; path($.ki_filp); @|$.ki_filp.f_inode.i_mode; $.ki_filp.f_inode.i_mode
linux_binprm; struct linux_binprm*; t; Binprm; path($); @|$.file.f_inode.i_mode; $.file.f_inode.i_mode
load_info; struct load_info*; t; Module; str(kptr($.name)); @|(uint64)$.sig_ok|(uint64)0
module; struct module*; t; Module; str($.name); @|tg_signed($)|(uint64)$.taints
net_device; struct net_device*; t; NetDev; str($.name); @
nop; ; -; Nothing
path; struct path*; t; Path; path($); @|$.dentry.d_inode.i_mode; $.dentry.d_inode.i_mode
perf_event; struct perf_event*; -; PerfEvent; ; $.attr.type|$.attr.config|tg_perf_func($)|$.attr.config2
size_t uint64 ulong; uint64; n; Size; ; @
skb; struct sk_buff*; s; Skb; ; $.hash|$.len|$.priority|$.mark|tg_skb_addr($, 0)|tg_skb_addr($, 1)|tg_skb_port($, 0)|tg_skb_port($, 2)|bswap((uint16)$.protocol)|tg_skb_proto($)|tg_skb_family($)
sock; struct sock*; s; Sock; ; $.__sk_common.skc_family|$.sk_type|$.sk_protocol|$.sk_mark|$.sk_priority|tg_laddr($)|tg_raddr($)|$.__sk_common.skc_num|bswap($.__sk_common.skc_dport)|(uint64)$.__sk_common.skc_cookie.counter|$.__sk_common.skc_state
sockaddr; ; s; Sockaddr; ; tg_peek2($, 0)|tg_sa_addr($)|bswap(tg_peek2($, 2))
sockaddr_un; ; t; SockaddrUn; tg_sun_path($); tg_peek2($, 0)|@
socket; struct socket*; s; Sock; ; $.sk.__sk_common.skc_family|$.sk.sk_type|$.sk.sk_protocol|$.sk.sk_mark|$.sk.sk_priority|tg_laddr($.sk)|tg_raddr($.sk)|$.sk.__sk_common.skc_num|bswap($.sk.__sk_common.skc_dport)|(uint64)$.sk.__sk_common.skc_cookie.counter|$.sk.__sk_common.skc_state
syscall64; int64; i; Syscall; tg_call($); @
uint16; uint16; n; Uint; ; @
uint32; uint32; n; Uint; ; @
uint8; uint8; n; Uint; ; @
user_namespace; struct user_namespace*; -; UserNS; ; $.level|$.owner.val|$.group.val|$.ns.inum
`

// shows are the forms by their names in typeTable.
const shows = "Nothing Int Uint Long Size String Bytes Vec Path File Sock Skb Sockaddr SockaddrUn Cred UserNS Capability Caps BPFAttr BPFMap BPFProg BPFCmd PerfEvent Module Binprm NetDev Syscall"

// argTypes are the types by their names in policies.
var argTypes = lazy.Table[map[string]*argType]{New: func() map[string]*argType {
	m := map[string]*argType{}
	forms := strings.Fields(shows)
	for _, line := range strings.Split(strings.TrimSpace(typeTable), "\n") {
		row := strings.Split(line, "; ")
		row = append(row, "", "", "")
		for _, name := range strings.Fields(row[0]) {
			t := &argType{c: row[1], show: Show(slices.Index(forms, row[3])), value: row[4], mode: row[6]}
			t.class, t.signed = class(strings.IndexByte("-nts", row[2][0])), row[2] == "i"
			if t.signed {
				t.class = numberClass
			}
			if row[5] != "" {
				t.fields = strings.Split(row[5], "|")
			}
			m[name] = t
		}
	}
	m["capability"].names = numbers{capabilities.Get(), "CAP_"}
	m["bpf_cmd"].names = numbers{bpfCommands.Get(), "BPF_"}
	return m
}}

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

// partOf returns the expression of a part of an argument, or "" if it has no such part.
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

// fill replaces the placeholders in an expression of a type: $ with the variable, @ with the
// value and % with the size.
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

// preludeText has the macros that scripts use, in their order, with empty lines between them.
// Each may use others.
const preludeText = `// tg_str(p) is the string at an address of the kernel or of the process.
macro tg_str(p) { let $p = (uint64)p; ($p >> 63) != 0 ? str(kptr($p)) : str(uptr($p)) }

// tg_strn(p, n) is the string of at most n bytes at an address of the kernel or of the process.
macro tg_strn(p, n)
{
  let $p = (uint64)p;
  let $n = (uint64)n + 1;
  ($p >> 63) != 0 ? str(kptr($p), $n) : str(uptr($p), $n)
}

// tg_head(p) is the first 40 bytes of the string at an address of the kernel or of the process.
macro tg_head(p) { let $p = (uint64)p; ($p >> 63) != 0 ? str(kptr($p), 41) : str(uptr($p), 41) }

// tg_bytes(p, n) is n bytes at an address of the kernel or of the process.
macro tg_bytes(p, n) { let $p = (uint64)p; let $n = n; ($p >> 63) != 0 ? buf(kptr($p), $n) : buf(uptr($p), $n) }

// tg_peek2(p, n) is the 16-bit word n bytes after an address of the kernel or of the process.
macro tg_peek2(p, n)
{
  let $p = (uint64)p + n;
  ($p >> 63) != 0 ? *(uint16*)kptr($p) : *(uint16*)uptr($p)
}

// tg_call(n) is the number of a system call, with bit 31 set if a 32-bit program makes it on
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

// tg_caps(p) is the set of capabilities at an address of the kernel.
macro tg_caps(p) { *(uint64*)kptr((uint64)p) }

// tg_vec(p, i, n) is the bytes of element i of an array of n struct iovec.
macro tg_vec(p, i, n)
{
  let $p = (uint64)p + 16 * i;
  let $n = (uint64)n;
  let $k = ($p >> 63) != 0;
  let $at = $n > i ? ($k ? *(uint64*)kptr($p) : *(uint64*)uptr($p)) : (uint64)0;
  let $len = $n > i ? ($k ? *(uint64*)kptr($p + 8) : *(uint64*)uptr($p + 8)) : (uint64)0;
  buf(uptr($at), $len, 1024)
}

// tg_file(n) is the open file of descriptor n of the current process.
macro tg_file(n)
{
  let $t = curtask.files.fdt;
  let $n = (uint64)(uint32)n;
  kptr((struct file*)($n < $t.max_fds ? (uint64)$t.fd[$n] : (uint64)0))
}

// tg_laddr(s) and tg_raddr(s) are the addresses of a socket's ends.
macro tg_laddr(s)
{
  let $s = s;
  $s.__sk_common.skc_family == 10
    ? ntop($s.__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8)
    : ntop($s.__sk_common.skc_rcv_saddr)
}

macro tg_raddr(s)
{
  let $s = s;
  $s.__sk_common.skc_family == 10
    ? ntop($s.__sk_common.skc_v6_daddr.in6_u.u6_addr8)
    : ntop($s.__sk_common.skc_daddr)
}

// tg_ip(skb) is the address of the header of IP of a packet.
macro tg_ip(skb) { kptr((uint64)skb.head + skb.network_header) }

macro tg_skb_v6(skb) { skb.protocol == 0xdd86 }

// tg_skb_family(skb) is the family of a packet's addresses, or 0.
macro tg_skb_family(skb) { skb.protocol == 0xdd86 ? 10 : (skb.protocol == 8 ? 2 : 0) }

// tg_skb_proto(skb) is the protocol of a packet of IP.
macro tg_skb_proto(skb)
{
  let $ip = tg_ip(skb);
  tg_skb_v6(skb) ? *(uint8*)($ip + 6) : (skb.protocol == 8 ? *(uint8*)($ip + 9) : (uint8)0)
}

// tg_skb_addr(skb, i) is the source or, if i is 1, the target of a packet.
macro tg_skb_addr(skb, i)
{
  let $ip = tg_ip(skb);
  tg_skb_v6(skb)
    ? ntop(((struct in6_addr*)($ip + 8 + 16 * i)).in6_u.u6_addr8)
    : ntop(*(uint32*)($ip + 12 + 4 * i))
}

// tg_skb_port(skb, n) is the port n bytes after the start of the header after IP's.
macro tg_skb_port(skb, n)
{
  let $ip = tg_ip(skb);
  let $p = (uint32)tg_skb_proto(skb);
  let $at = $ip + (tg_skb_v6(skb) ? (uint64)40 : (uint64)(*(uint8*)$ip & 15) * 4) + n;
  $p == 6 || $p == 17 || $p == 132 || $p == 136 ? bswap(*(uint16*)$at) : (uint16)0
}

// tg_sa_addr(p) is the address in a struct sockaddr.
macro tg_sa_addr(p)
{
  let $p = (uint64)p;
  let $v6 = tg_peek2($p, 0) == 10;
  ($p >> 63) != 0
    ? ($v6 ? ntop(((struct in6_addr*)kptr($p + 8)).in6_u.u6_addr8) : ntop(*(uint32*)kptr($p + 4)))
    : ($v6 ? ntop(((struct in6_addr*)uptr($p + 8)).in6_u.u6_addr8) : ntop(*(uint32*)uptr($p + 4)))
}

// tg_sun_path(p) is the path in a struct sockaddr_un.
macro tg_sun_path(p) { tg_peek2(p, 0) == 1 ? tg_str((uint64)p + 2) : "" }

// tg_iter_vec(i) is the address of the first struct iovec of a struct iov_iter.
macro tg_iter_vec(i)
{
  if comptime (has_member(i, "__iov")) { kptr((uint64)i.__iov) } else { kptr((uint64)i.iov) }
}

// tg_iter_flat(i) tells whether a struct iov_iter has one part that is not in a list.
macro tg_iter_flat(i)
{
  if comptime (has_member(i, "ubuf")) { i.iter_type == ITER_UBUF } else { false }
}

// tg_iter_at(i) is the address of the first part of a struct iov_iter, tg_iter_len(i) its size.
macro tg_iter_at(i)
{
  let $i = i;
  let $at = tg_iter_flat($i) ? (uint64)0 : *(uint64*)tg_iter_vec($i);
  if comptime (has_member($i, "ubuf")) {
    if (tg_iter_flat($i)) { $at = (uint64)$i.ubuf; }
  }
  $at + (uint64)$i.iov_offset
}

macro tg_iter_len(i)
{
  let $i = i;
  tg_iter_flat($i) ? (uint64)$i.count : *(uint64*)(tg_iter_vec($i) + 8)
}

// tg_perf_func(e) is the function of a kprobe.
macro tg_perf_func(e) { let $p = (uint64)e.attr.config1; e.attr.type > 5 ? tg_str($p) : "" }

// tg_signed(m) tells whether a module has a valid signature.
macro tg_signed(m) { if comptime (has_member(m, "sig_ok")) { (uint64)m.sig_ok } else { (uint64)0 } }

// tg_pid_ns() is the namespace of process IDs that the current task is in.
macro tg_pid_ns() { let $p = curtask.thread_pid; __exec_upid($p, $p.level).ns.ns.inum }

// tg_ns_pid() is the ID of the current process in its namespace, or 0 in the host's.
macro tg_ns_pid()
{
  let $p = curtask.group_leader.thread_pid;
  $p.level == 0 ? (int32)0 : __exec_upid($p, $p.level).nr
}

// tg_under(n) tells whether the current process or one above it has an ID.
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

// tg_ns_under(n) is tg_under for IDs in the namespace of the current process, which is not
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

// tg_exe(t) is the program that a task runs.
macro tg_exe(t) { let $mm = t.mm; $mm != 0 ? path($mm.exe_file) : "" }
`

// prelude returns the names and the texts of the macros.
var prelude = lazy.Table[[][2]string]{New: func() (list [][2]string) {
	for _, text := range strings.Split(preludeText, "\n\n") {
		_, rest, _ := strings.Cut("\n"+text, "\nmacro ")
		name, _, _ := strings.Cut(rest, "(")
		list = append(list, [2]string{name, strings.TrimSuffix(text, "\n") + "\n"})
	}
	return list
}}

// macrosOf returns the macros that a script uses, with those that they use.
func macrosOf(text string) string {
	used := map[string]bool{}
	var use func(text string)
	use = func(text string) {
		for _, m := range prelude.Get() {
			if !used[m[0]] && strings.Contains(text, m[0]+"(") {
				used[m[0]] = true
				use(m[1])
			}
		}
	}
	use(text)
	var b bytes.Buffer
	for _, m := range prelude.Get() {
		if used[m[0]] {
			fmt.Fprintln(&b, m[1])
		}
	}
	return b.String()
}
