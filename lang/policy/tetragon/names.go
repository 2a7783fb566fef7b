package tetragon

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/runtime/lazy"
)

// The tables below have the names that can be used as values of selectors, with Linux's
// numbers.
var families = lazy.Table[map[string]uint64]{New: func() map[string]uint64 {
	return map[string]uint64{
		"UNSPEC": 0, "UNIX": 1, "LOCAL": 1, "INET": 2, "AX25": 3, "IPX": 4, "APPLETALK": 5, "NETROM": 6, "BRIDGE": 7, "ATMPVC": 8,
		"X25": 9, "INET6": 10, "ROSE": 11, "DECnet": 12, "NETBEUI": 13, "SECURITY": 14, "KEY": 15, "NETLINK": 16, "ROUTE": 16,
		"PACKET": 17, "ASH": 18, "ECONET": 19, "ATMSVC": 20, "RDS": 21, "SNA": 22, "IRDA": 23, "PPPOX": 24, "WANPIPE": 25, "LLC": 26,
		"IB": 27, "MPLS": 28, "CAN": 29, "TIPC": 30, "BLUETOOTH": 31, "IUCV": 32, "RXRPC": 33, "ISDN": 34, "PHONET": 35,
		"IEEE802154": 36, "CAIF": 37, "ALG": 38, "NFC": 39, "VSOCK": 40, "KCM": 41, "QIPCRTR": 42, "SMC": 43, "XDP": 44, "MCTP": 45,
	}
}}

var protocols = lazy.Table[map[string]uint64]{New: func() map[string]uint64 {
	return map[string]uint64{
		"IP": 0, "ICMP": 1, "IGMP": 2, "IPIP": 4, "TCP": 6, "EGP": 8, "PUP": 12, "UDP": 17, "IDP": 22, "TP": 29, "DCCP": 33,
		"IPV6": 41, "ROUTING": 43, "FRAGMENT": 44, "RSVP": 46, "GRE": 47, "ESP": 50, "AH": 51, "ICMPV6": 58, "NONE": 59, "DSTOPTS": 60,
		"MTP": 92, "BEETPH": 94, "ENCAP": 98, "PIM": 103, "COMP": 108, "L2TP": 115, "SCTP": 132, "MH": 135, "UDPLITE": 136, "MPLS": 137,
		"ETHERNET": 143, "RAW": 255, "MPTCP": 262,
	}
}}

var states = lazy.Table[map[string]uint64]{New: func() map[string]uint64 {
	return map[string]uint64{
		"ESTABLISHED": 1, "SYN_SENT": 2, "SYN_RECV": 3, "FIN_WAIT1": 4, "FIN_WAIT2": 5, "TIME_WAIT": 6, "CLOSE": 7, "CLOSE_WAIT": 8,
		"LAST_ACK": 9, "LISTEN": 10, "CLOSING": 11, "NEW_SYN_RECV": 12, "BOUND_INACTIVE": 13,
	}
}}

var capabilities = lazy.Table[map[string]uint64]{New: func() map[string]uint64 {
	return numbered("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE " +
		"NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT " +
		"SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP " +
		"MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE")
}}

var bpfCommands = lazy.Table[map[string]uint64]{New: func() map[string]uint64 {
	return numbered("MAP_CREATE MAP_LOOKUP_ELEM MAP_UPDATE_ELEM MAP_DELETE_ELEM MAP_GET_NEXT_KEY PROG_LOAD OBJ_PIN OBJ_GET " +
		"PROG_ATTACH PROG_DETACH PROG_TEST_RUN PROG_GET_NEXT_ID MAP_GET_NEXT_ID PROG_GET_FD_BY_ID MAP_GET_FD_BY_ID OBJ_GET_INFO_BY_FD " +
		"PROG_QUERY RAW_TRACEPOINT_OPEN BTF_LOAD BTF_GET_FD_BY_ID TASK_FD_QUERY MAP_LOOKUP_AND_DELETE_ELEM MAP_FREEZE BTF_GET_NEXT_ID " +
		"MAP_LOOKUP_BATCH MAP_LOOKUP_AND_DELETE_BATCH MAP_UPDATE_BATCH MAP_DELETE_BATCH LINK_CREATE LINK_UPDATE LINK_GET_FD_BY_ID " +
		"LINK_GET_NEXT_ID ENABLE_STATS ITER_CREATE LINK_DETACH PROG_BIND_MAP TOKEN_CREATE")
}}

var fileTypes = lazy.Table[map[string]uint64]{New: func() map[string]uint64 {
	return map[string]uint64{
		"fifo": 0o010000, "pipe": 0o010000, "chr": 0o020000, "char": 0o020000, "dir": 0o040000, "directory": 0o040000, "blk": 0o060000, "block": 0o060000,
		"reg": 0o100000, "regular": 0o100000, "file": 0o100000, "lnk": 0o120000, "link": 0o120000, "symlink": 0o120000, "sock": 0o140000, "socket": 0o140000,
	}
}}

var signals = lazy.Table[map[string]uint64]{New: func() map[string]uint64 {
	return map[string]uint64{
		"HUP": 1, "INT": 2, "QUIT": 3, "ILL": 4, "TRAP": 5, "ABRT": 6, "BUS": 7, "FPE": 8, "KILL": 9, "USR1": 10, "SEGV": 11, "USR2": 12,
		"PIPE": 13, "ALRM": 14, "TERM": 15, "STKFLT": 16, "CHLD": 17, "CONT": 18, "STOP": 19, "TSTP": 20, "TTIN": 21, "TTOU": 22,
		"URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "WINCH": 28, "IO": 29, "PWR": 30, "SYS": 31,
	}
}}

// numbered returns words with their numbers, counted from 0.
func numbered(words string) map[string]uint64 {
	m := map[string]uint64{}
	for i, w := range strings.Fields(words) {
		m[w] = uint64(i)
	}
	return m
}

// NamesOf returns the names of a table by number, with a prefix.
//
//go:noinline
func namesOf(table map[string]uint64, prefix string) map[uint64]string {
	m := map[uint64]string{}
	for name, n := range table {
		if old, ok := m[n]; !ok || len(prefix+name) > len(old) || len(prefix+name) == len(old) && prefix+name < old {
			m[n] = prefix + name
		}
	}
	return m
}

// Names of numbers, for output.
var (
	Capabilities = lazy.Table[map[uint64]string]{New: func() map[uint64]string { return namesOf(capabilities.Get(), "CAP_") }}
	BPFCommands  = lazy.Table[map[uint64]string]{New: func() map[uint64]string { return namesOf(bpfCommands.Get(), "BPF_") }}
	Families     = lazy.Table[map[uint64]string]{New: func() map[uint64]string {
		m := namesOf(families.Get(), "AF_")
		m[1], m[16] = "AF_UNIX", "AF_NETLINK"
		return m
	}}
	Protocols = lazy.Table[map[uint64]string]{New: func() map[uint64]string { return namesOf(protocols.Get(), "IPPROTO_") }}
	States    = lazy.Table[map[uint64]string]{New: func() map[uint64]string { return namesOf(states.Get(), "TCP_") }}
)

// lookup returns the number of a name of a table, which may have a prefix, or of a number.
func lookup(table map[string]uint64, prefix, name string) (uint64, bool) {
	if n, err := strconv.ParseUint(name, 0, 64); err == nil {
		return n, true
	}
	name = strings.TrimPrefix(strings.ToUpper(name), strings.ToUpper(prefix))
	for k, n := range table {
		if strings.ToUpper(k) == name {
			return n, true
		}
	}
	return 0, false
}

// namespace is a kind of namespace: how it is spelt in policies, its name in /proc/PID/ns,
// the number of the initial one if that is fixed, and the namespace of the current task.
type namespace struct {
	name, proc string
	initial    uint64
	of         string
}

var namespaces = []namespace{
	{"Uts", "uts", 4026531838, "curtask.nsproxy.uts_ns.ns.inum"},
	{"Ipc", "ipc", 4026531839, "curtask.nsproxy.ipc_ns.ns.inum"},
	{"Mnt", "mnt", 4026531840, "curtask.nsproxy.mnt_ns.ns.inum"},
	{"Pid", "pid", 4026531836, "tg_pid_ns()"},
	{"PidForChildren", "pid_for_children", 4026531836, "curtask.nsproxy.pid_ns_for_children.ns.inum"},
	{"Net", "net", 4026531840, "curtask.nsproxy.net_ns.ns.inum"},
	{"Time", "time", 4026531834, "curtask.nsproxy.time_ns.ns.inum"},
	{"TimeForChildren", "time_for_children", 4026531834, "curtask.nsproxy.time_ns_for_children.ns.inum"},
	{"Cgroup", "cgroup", 4026531835, "curtask.nsproxy.cgroup_ns.ns.inum"},
	{"User", "user", 4026531837, "curtask.cred.user_ns.ns.inum"},
}
