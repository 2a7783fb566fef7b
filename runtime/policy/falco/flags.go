package falco

import (
	"strings"

	"github.com/gotrace/gotrace/lang/policy/falco"
)

// name is a name of a bit, of several, or of a number.
type name struct {
	value int64
	name  string
}

// bits returns names for bits: each takes the value of its position.
func ordered(names ...string) (list []name) {
	for i, n := range names {
		if n != "" {
			list = append(list, name{int64(i), n})
		}
	}
	return list
}

// openNames are in the order in which Falco shows them.
var openNames = []name{
	{0x410000, "O_TMPFILE"}, {0x10000, "O_DIRECTORY"}, {0x4000, "O_DIRECT"}, {0x200, "O_TRUNC"}, {0x101000, "O_SYNC"}, {0x800, "O_NONBLOCK"},
	{0x80, "O_EXCL"}, {0x1000, "O_DSYNC"}, {0x400, "O_APPEND"}, {0x40, "O_CREAT"}, {2, "O_RDWR"}, {1, "O_WRONLY"}, {0, "O_RDONLY"}, {0x80000, "O_CLOEXEC"},
	{0x20000, "O_NOFOLLOW"}, {0x40000, "O_NOATIME"}, {0x200000, "O_PATH"},
}

var flagTables = map[string][]name{
	"exec": {{exeWritable, "EXE_WRITABLE"}, {exeUpper, "EXE_UPPER_LAYER"}, {exeMemfd, "EXE_FROM_MEMFD"}, {exeLower, "EXE_LOWER_LAYER"}},
	"clone": {
		{0x100, "CLONE_VM"}, {0x200, "CLONE_FS"}, {0x400, "CLONE_FILES"}, {0x800, "CLONE_SIGHAND"}, {0x1000, "CLONE_PIDFD"}, {0x2000, "CLONE_PTRACE"},
		{0x4000, "CLONE_VFORK"}, {0x8000, "CLONE_PARENT"}, {0x10000, "CLONE_THREAD"}, {0x20000, "CLONE_NEWNS"}, {0x40000, "CLONE_SYSVSEM"}, {0x80000, "CLONE_SETTLS"},
		{0x100000, "CLONE_PARENT_SETTID"}, {0x200000, "CLONE_CHILD_CLEARTID"}, {0x800000, "CLONE_UNTRACED"}, {0x1000000, "CLONE_CHILD_SETTID"},
		{0x2000000, "CLONE_NEWCGROUP"}, {0x4000000, "CLONE_NEWUTS"}, {0x8000000, "CLONE_NEWIPC"}, {0x10000000, "CLONE_NEWUSER"}, {0x20000000, "CLONE_NEWPID"},
		{0x40000000, "CLONE_NEWNET"}, {0x80000000, "CLONE_IO"}, {0x80, "CLONE_NEWTIME"},
	},
	"resolve":   {{1, "RESOLVE_NO_XDEV"}, {2, "RESOLVE_NO_MAGICLINKS"}, {4, "RESOLVE_NO_SYMLINKS"}, {8, "RESOLVE_BENEATH"}, {16, "RESOLVE_IN_ROOT"}, {32, "RESOLVE_CACHED"}},
	"splice":    {{1, "SPLICE_F_MOVE"}, {2, "SPLICE_F_NONBLOCK"}, {4, "SPLICE_F_MORE"}, {8, "SPLICE_F_GIFT"}},
	"flock":     {{1, "LOCK_SH"}, {2, "LOCK_EX"}, {4, "LOCK_NB"}, {8, "LOCK_UN"}},
	"access":    {{4, "R_OK"}, {2, "W_OK"}, {1, "X_OK"}, {0, "F_OK"}},
	"unlinkat":  {{0x200, "AT_REMOVEDIR"}},
	"renameat2": {{1, "RENAME_NOREPLACE"}, {2, "RENAME_EXCHANGE"}, {4, "RENAME_WHITEOUT"}},
	"linkat":    {{0x400, "AT_SYMLINK_FOLLOW"}, {0x1000, "AT_EMPTY_PATH"}},
	"fchownat":  {{0x100, "AT_SYMLINK_NOFOLLOW"}, {0x1000, "AT_EMPTY_PATH"}},
	"umount":    {{1, "FORCE"}, {2, "DETACH"}, {4, "EXPIRE"}, {8, "NOFOLLOW"}},
	"mount": {
		{1, "RDONLY"}, {2, "NOSUID"}, {4, "NODEV"}, {8, "NOEXEC"}, {16, "SYNCHRONOUS"}, {32, "REMOUNT"}, {64, "MANDLOCK"}, {128, "DIRSYNC"}, {1024, "NOATIME"},
		{2048, "NODIRATIME"}, {4096, "BIND"}, {8192, "MOVE"}, {16384, "REC"}, {32768, "SILENT"}, {1 << 16, "POSIXACL"}, {1 << 17, "UNBINDABLE"}, {1 << 18, "PRIVATE"},
		{1 << 19, "SLAVE"}, {1 << 20, "SHARED"}, {1 << 21, "RELATIME"}, {1 << 22, "KERNMOUNT"}, {1 << 23, "I_VERSION"}, {1 << 24, "STRICTATIME"}, {1 << 25, "LAZYTIME"},
	},
	"epoll":        {{0x80000, "EPOLL_CLOEXEC"}},
	"memfd":        {{1, "MFD_CLOEXEC"}, {2, "MFD_ALLOW_SEALING"}, {4, "MFD_HUGETLB"}, {8, "MFD_NOEXEC_SEAL"}, {16, "MFD_EXEC"}},
	"pidfd":        {{0x800, "PIDFD_NONBLOCK"}},
	"userfaultfd":  {{0x800, "O_NONBLOCK"}, {0x80000, "O_CLOEXEC"}, {1, "UFFD_USER_MODE_ONLY"}},
	"iouringenter": {{1, "IORING_ENTER_GETEVENTS"}, {2, "IORING_ENTER_SQ_WAKEUP"}, {4, "IORING_ENTER_SQ_WAIT"}, {8, "IORING_ENTER_EXT_ARG"}},
	"seccomp":      {{1, "SECCOMP_FILTER_FLAG_TSYNC"}, {2, "SECCOMP_FILTER_FLAG_LOG"}, {4, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"}, {8, "SECCOMP_FILTER_FLAG_NEW_LISTENER"}, {16, "SECCOMP_FILTER_FLAG_TSYNC_ESRCH"}},
	"prot":         {{1, "PROT_READ"}, {2, "PROT_WRITE"}, {4, "PROT_EXEC"}, {8, "PROT_SEM"}, {0x1000000, "PROT_GROWSDOWN"}, {0x2000000, "PROT_GROWSUP"}, {0, "PROT_NONE"}},
	"mmap": {
		{1, "MAP_SHARED"}, {2, "MAP_PRIVATE"}, {16, "MAP_FIXED"}, {32, "MAP_ANONYMOUS"}, {64, "MAP_32BIT"}, {0x4000, "MAP_NORESERVE"}, {0x8000, "MAP_POPULATE"},
		{0x10000, "MAP_NONBLOCK"}, {0x100, "MAP_GROWSDOWN"}, {0x800, "MAP_DENYWRITE"}, {0x1000, "MAP_EXECUTABLE"}, {0x2000, "MAP_LOCKED"}, {0x20000, "MAP_STACK"}, {0x40000, "MAP_HUGETLB"},
	},
	"mlock2":    {{1, "MLOCK_ONFAULT"}},
	"mlockall":  {{1, "MCL_CURRENT"}, {2, "MCL_FUTURE"}, {4, "MCL_ONFAULT"}},
	"module":    {{1, "MODULE_INIT_IGNORE_MODVERSIONS"}, {2, "MODULE_INIT_IGNORE_VERMAGIC"}, {4, "MODULE_INIT_COMPRESSED_FILE"}},
	"delmodule": {{0x800, "O_NONBLOCK"}, {0x200, "O_TRUNC"}},
	"mode": {
		{0o1, "S_IXOTH"}, {0o2, "S_IWOTH"}, {0o4, "S_IROTH"}, {0o10, "S_IXGRP"}, {0o20, "S_IWGRP"}, {0o40, "S_IRGRP"}, {0o100, "S_IXUSR"}, {0o200, "S_IWUSR"}, {0o400, "S_IRUSR"},
		{0o1000, "S_ISVTX"}, {0o2000, "S_ISGID"}, {0o4000, "S_ISUID"},
	},
	// Enumerations.
	"family": ordered("AF_UNSPEC", "AF_UNIX", "AF_INET", "AF_AX25", "AF_IPX", "AF_APPLETALK", "AF_NETROM", "AF_BRIDGE", "AF_ATMPVC", "AF_X25", "AF_INET6", "AF_ROSE", "AF_DECnet",
		"AF_NETBEUI", "AF_SECURITY", "AF_KEY", "AF_NETLINK", "AF_PACKET", "AF_ASH", "AF_ECONET", "AF_ATMSVC", "AF_RDS", "AF_SNA", "AF_IRDA", "AF_PPPOX", "AF_WANPIPE", "AF_LLC", "AF_IB",
		"AF_MPLS", "AF_CAN", "AF_TIPC", "AF_BLUETOOTH", "AF_IUCV", "AF_RXRPC", "AF_ISDN", "AF_PHONET", "AF_IEEE802154", "AF_CAIF", "AF_ALG", "AF_NFC", "AF_VSOCK", "AF_KCM", "AF_QIPCRTR", "AF_SMC", "AF_XDP", "AF_MCTP"),
	"shutdown": ordered("SHUT_RD", "SHUT_WR", "SHUT_RDWR"),
	"whence":   ordered("SEEK_SET", "SEEK_CUR", "SEEK_END"),
	"sol":      {{1, "SOL_SOCKET"}, {6, "SOL_TCP"}, {17, "SOL_UDP"}, {0, "SOL_IP"}, {41, "SOL_IPV6"}, {255, "SOL_RAW"}, {263, "SOL_PACKET"}, {270, "SOL_NETLINK"}},
	"sockopt": ordered("", "SO_DEBUG", "SO_REUSEADDR", "SO_TYPE", "SO_ERROR", "SO_DONTROUTE", "SO_BROADCAST", "SO_SNDBUF", "SO_RCVBUF", "SO_KEEPALIVE", "SO_OOBINLINE", "SO_NO_CHECK", "SO_PRIORITY",
		"SO_LINGER", "SO_BSDCOMPAT", "SO_REUSEPORT", "SO_PASSCRED", "SO_PEERCRED", "SO_RCVLOWAT", "SO_SNDLOWAT", "SO_RCVTIMEO", "SO_SNDTIMEO", "", "", "", "SO_BINDTODEVICE", "SO_ATTACH_FILTER"),
	"fcntl": {{0, "F_DUPFD"}, {1, "F_GETFD"}, {2, "F_SETFD"}, {3, "F_GETFL"}, {4, "F_SETFL"}, {5, "F_GETLK"}, {6, "F_SETLK"}, {7, "F_SETLKW"}, {8, "F_SETOWN"}, {9, "F_GETOWN"}, {10, "F_SETSIG"},
		{11, "F_GETSIG"}, {1024, "F_SETLEASE"}, {1025, "F_GETLEASE"}, {1026, "F_NOTIFY"}, {1030, "F_DUPFD_CLOEXEC"}, {1031, "F_SETPIPE_SZ"}, {1032, "F_GETPIPE_SZ"}, {1033, "F_ADD_SEALS"}, {1034, "F_GET_SEALS"}},
	"fsconfig": ordered("FSCONFIG_SET_FLAG", "FSCONFIG_SET_STRING", "FSCONFIG_SET_BINARY", "FSCONFIG_SET_PATH", "FSCONFIG_SET_PATH_EMPTY", "FSCONFIG_SET_FD", "FSCONFIG_CMD_CREATE", "FSCONFIG_CMD_RECONFIGURE", "FSCONFIG_CMD_CREATE_EXCL"),
	"bpf": ordered("BPF_MAP_CREATE", "BPF_MAP_LOOKUP_ELEM", "BPF_MAP_UPDATE_ELEM", "BPF_MAP_DELETE_ELEM", "BPF_MAP_GET_NEXT_KEY", "BPF_PROG_LOAD", "BPF_OBJ_PIN", "BPF_OBJ_GET", "BPF_PROG_ATTACH",
		"BPF_PROG_DETACH", "BPF_PROG_TEST_RUN", "BPF_PROG_GET_NEXT_ID", "BPF_MAP_GET_NEXT_ID", "BPF_PROG_GET_FD_BY_ID", "BPF_MAP_GET_FD_BY_ID", "BPF_OBJ_GET_INFO_BY_FD", "BPF_PROG_QUERY",
		"BPF_RAW_TRACEPOINT_OPEN", "BPF_BTF_LOAD", "BPF_BTF_GET_FD_BY_ID", "BPF_TASK_FD_QUERY", "BPF_MAP_LOOKUP_AND_DELETE_ELEM", "BPF_MAP_FREEZE", "BPF_BTF_GET_NEXT_ID", "BPF_MAP_LOOKUP_BATCH",
		"BPF_MAP_LOOKUP_AND_DELETE_BATCH", "BPF_MAP_UPDATE_BATCH", "BPF_MAP_DELETE_BATCH", "BPF_LINK_CREATE", "BPF_LINK_UPDATE", "BPF_LINK_GET_FD_BY_ID", "BPF_LINK_GET_NEXT_ID", "BPF_ENABLE_STATS",
		"BPF_ITER_CREATE", "BPF_LINK_DETACH", "BPF_PROG_BIND_MAP"),
	"iouringreg": ordered("IORING_REGISTER_BUFFERS", "IORING_UNREGISTER_BUFFERS", "IORING_REGISTER_FILES", "IORING_UNREGISTER_FILES", "IORING_REGISTER_EVENTFD", "IORING_UNREGISTER_EVENTFD",
		"IORING_REGISTER_FILES_UPDATE", "IORING_REGISTER_EVENTFD_ASYNC", "IORING_REGISTER_PROBE", "IORING_REGISTER_PERSONALITY", "IORING_UNREGISTER_PERSONALITY", "IORING_REGISTER_RESTRICTIONS", "IORING_REGISTER_ENABLE_RINGS"),
	"ptrace": append(ordered("PTRACE_TRACEME", "PTRACE_PEEKTEXT", "PTRACE_PEEKDATA", "PTRACE_PEEKUSR", "PTRACE_POKETEXT", "PTRACE_POKEDATA", "PTRACE_POKEUSR", "PTRACE_CONT", "PTRACE_KILL", "PTRACE_SINGLESTEP", "", "",
		"PTRACE_GETREGS", "PTRACE_SETREGS", "PTRACE_GETFPREGS", "PTRACE_SETFPREGS", "PTRACE_ATTACH", "PTRACE_DETACH", "PTRACE_GETFPXREGS", "PTRACE_SETFPXREGS", "", "PTRACE_OLDSETOPTIONS", "", "", "PTRACE_SYSCALL",
		"PTRACE_GET_THREAD_AREA", "PTRACE_SET_THREAD_AREA", "", "", "", "PTRACE_ARCH_PRCTL", "PTRACE_SYSEMU", "PTRACE_SYSEMU_SINGLESTEP", "PTRACE_SINGLEBLOCK"),
		name{0x4200, "PTRACE_SETOPTIONS"}, name{0x4201, "PTRACE_GETEVENTMSG"}, name{0x4202, "PTRACE_GETSIGINFO"}, name{0x4203, "PTRACE_SETSIGINFO"}, name{0x4204, "PTRACE_GETREGSET"}, name{0x4205, "PTRACE_SETREGSET"},
		name{0x4206, "PTRACE_SEIZE"}, name{0x4207, "PTRACE_INTERRUPT"}, name{0x4208, "PTRACE_LISTEN"}, name{0x4209, "PTRACE_PEEKSIGINFO"}, name{0x420a, "PTRACE_GETSIGMASK"}, name{0x420b, "PTRACE_SETSIGMASK"},
		name{0x420c, "PTRACE_SECCOMP_GET_FILTER"}),
	"prctl": {{1, "PR_SET_PDEATHSIG"}, {2, "PR_GET_PDEATHSIG"}, {3, "PR_GET_DUMPABLE"}, {4, "PR_SET_DUMPABLE"}, {8, "PR_SET_KEEPCAPS"}, {15, "PR_SET_NAME"}, {16, "PR_GET_NAME"}, {21, "PR_GET_SECCOMP"}, {22, "PR_SET_SECCOMP"},
		{23, "PR_CAPBSET_READ"}, {24, "PR_CAPBSET_DROP"}, {28, "PR_SET_SECUREBITS"}, {35, "PR_SET_MM"}, {36, "PR_SET_CHILD_SUBREAPER"}, {37, "PR_GET_CHILD_SUBREAPER"}, {38, "PR_SET_NO_NEW_PRIVS"}, {39, "PR_GET_NO_NEW_PRIVS"},
		{47, "PR_CAP_AMBIENT"}, {0x59616d61, "PR_SET_PTRACER"}},
	"rlimit": ordered("RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE", "RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING",
		"RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME"),
}

// flagNames returns the names of the bits of a number, or the name of the number.
func flagNames(p *falco.Param, n int64, e *Event) string {
	table := flagTables[p.Table]
	switch {
	case p.Kind == falco.Mode:
		table, n = flagTables["mode"], n&0o7777
	case p.Table == "open":
		return openFlagNames(n, e)
	case p.Kind == falco.Enum:
		n = int64(uint32(n))
		for _, f := range table {
			if f.value == n {
				return f.name
			}
		}
		return ""
	}
	return bitNames(table, n)
}

// bitNames returns the names of the bits of a number. A name for 0 is for a number without
// any.
func bitNames(table []name, n int64) string {
	var names []string
	whole := n
	for _, f := range table {
		switch {
		case f.value == 0:
			if whole == 0 {
				names = append(names, f.name)
			}
		case n&f.value == f.value:
			names = append(names, f.name)
			n &^= f.value
		}
	}
	return strings.Join(names, "|")
}

// openFlagNames returns the names of the flags with which a file is opened.
func openFlagNames(n int64, e *Event) string {
	var names []string
	left := n
	for _, f := range openNames {
		switch {
		case f.value == 0:
			if n&3 == 0 && e.what.Event.IsOpen() {
				names = append(names, f.name)
			}
		case left&f.value == f.value:
			names = append(names, f.name)
			left &^= f.value
		}
	}
	if upper, ok := e.num("upper"); ok && upper != 0 && e.what.Event.IsOpen() && e.result() >= 0 {
		names = append(names, "FD_UPPER_LAYER")
	}
	return strings.Join(names, "|")
}

// capabilityNames are the capabilities by their numbers.
var capabilityNames = strings.Fields(`CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP
CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_CHROOT
CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD CAP_LEASE CAP_AUDIT_WRITE
CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE`)

// capabilities returns the names of the capabilities in a set.
func capabilities(set uint64) string {
	var names []string
	for i, n := range capabilityNames {
		if set&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return strings.Join(names, " ")
}

// services are the names of ports that Falco shows.
var services = map[string]string{
	"20/tcp": "ftp-data", "21/tcp": "ftp", "22/tcp": "ssh", "23/tcp": "telnet", "25/tcp": "smtp", "53/tcp": "domain", "53/udp": "domain", "67/udp": "bootps",
	"68/udp": "bootpc", "69/udp": "tftp", "80/tcp": "http", "88/tcp": "kerberos", "110/tcp": "pop3", "111/tcp": "sunrpc", "123/udp": "ntp", "143/tcp": "imap2",
	"161/udp": "snmp", "389/tcp": "ldap", "443/tcp": "https", "445/tcp": "microsoft-ds", "465/tcp": "submissions", "514/udp": "syslog", "587/tcp": "submission",
	"636/tcp": "ldaps", "873/tcp": "rsync", "993/tcp": "imaps", "995/tcp": "pop3s", "1433/tcp": "ms-sql-s", "2049/tcp": "nfs", "3306/tcp": "mysql",
	"5432/tcp": "postgresql", "5672/tcp": "amqp", "6379/tcp": "redis", "8080/tcp": "http-alt", "9418/tcp": "git", "11211/tcp": "memcached", "27017/tcp": "mongodb",
}
