package falco

import (
	"strings"

	"github.com/gotrace/gotrace/lang/policy/falco"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// The flags of the file that a process runs.
const (
	exeWritable = falco.ExeWritable
	exeUpper    = falco.ExeUpper
	exeMemfd    = falco.ExeMemfd
	exeLower    = falco.ExeLower
)

// flagNames returns the names of the bits of a number, or the name of the number.
func flagNames(p *falco.Param, n int64, e *Event) string {
	table := falco.Names.Get()[p.Table]
	switch {
	case p.Kind == falco.Mode:
		table, n = falco.Names.Get()["mode"], n&0o7777
	case p.Table == "open":
		return openFlagNames(n, e)
	case p.Kind == falco.Enum:
		n = int64(uint32(n))
		for _, f := range table {
			if f.Value == n {
				return f.Name
			}
		}
		return ""
	}
	return bitNames(table, n)
}

// bitNames returns the names of the bits of a number. If no bit is set, it returns the
// name for 0.
func bitNames(table []falco.Name, n int64) string {
	var names []string
	whole := n
	for _, f := range table {
		switch {
		case f.Value == 0:
			if whole == 0 {
				names = append(names, f.Name)
			}
		case n&f.Value == f.Value:
			names = append(names, f.Name)
			n &^= f.Value
		}
	}
	return strings.Join(names, "|")
}

// openFlagNames returns the names of the flags with which a file is opened.
func openFlagNames(n int64, e *Event) string {
	var names []string
	left := n
	for _, f := range falco.Names.Get()["open"] {
		switch {
		case f.Value == 0:
			if n&3 == 0 && e.what.Event.IsOpen() {
				names = append(names, f.Name)
			}
		case left&f.Value == f.Value:
			names = append(names, f.Name)
			left &^= f.Value
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
var services = lazy.Table[map[string]string]{New: func() map[string]string {
	return map[string]string{
		"20/tcp": "ftp-data", "21/tcp": "ftp", "22/tcp": "ssh", "23/tcp": "telnet", "25/tcp": "smtp", "53/tcp": "domain", "53/udp": "domain", "67/udp": "bootps",
		"68/udp": "bootpc", "69/udp": "tftp", "80/tcp": "http", "88/tcp": "kerberos", "110/tcp": "pop3", "111/tcp": "sunrpc", "123/udp": "ntp", "143/tcp": "imap2",
		"161/udp": "snmp", "389/tcp": "ldap", "443/tcp": "https", "445/tcp": "microsoft-ds", "465/tcp": "submissions", "514/udp": "syslog", "587/tcp": "submission",
		"636/tcp": "ldaps", "873/tcp": "rsync", "993/tcp": "imaps", "995/tcp": "pop3s", "1433/tcp": "ms-sql-s", "2049/tcp": "nfs", "3306/tcp": "mysql",
		"5432/tcp": "postgresql", "5672/tcp": "amqp", "6379/tcp": "redis", "8080/tcp": "http-alt", "9418/tcp": "git", "11211/tcp": "memcached", "27017/tcp": "mongodb",
	}
}}
