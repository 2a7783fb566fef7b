package builtins

import (
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// ports are the usual names of ports, from the registry of the IANA.
var ports = lazy.Table[map[string]int64]{New: func() map[string]int64 {
	return map[string]int64{
		"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "domain": 53, "dns": 53, "bootps": 67, "bootpc": 68, "tftp": 69,
		"http": 80, "kerberos": 88, "pop3": 110, "sunrpc": 111, "ntp": 123, "netbios-ns": 137, "netbios-dgm": 138, "netbios-ssn": 139,
		"imap": 143, "snmp": 161, "snmptrap": 162, "bgp": 179, "ldap": 389, "https": 443, "microsoft-ds": 445, "smb": 445, "submissions": 465, "isakmp": 500,
		"syslog": 514, "printer": 515, "ipp": 631, "submission": 587, "ldaps": 636, "domain-s": 853, "rsync": 873, "imaps": 993, "pop3s": 995,
		"socks": 1080, "openvpn": 1194, "ms-sql-s": 1433, "oracle": 1521, "mqtt": 1883, "nfs": 2049, "etcd-client": 2379, "etcd-server": 2380, "mysql": 3306,
		"ms-wbt-server": 3389, "rdp": 3389, "sip": 5060, "sips": 5061, "mdns": 5353, "postgresql": 5432, "amqp": 5672, "amqps": 5671, "vnc": 5900, "x11": 6000, "redis": 6379,
		"kubernetes": 6443, "http-alt": 8080, "https-alt": 8443, "mqtts": 8883, "elasticsearch": 9200, "kafka": 9092, "memcache": 11211, "memcached": 11211, "mongodb": 27017,
	}
}}

func port() *Def {
	return &Def{
		Name:   "port",
		Kind:   Function,
		Params: []Param{{Name: "name"}},
		Doc: Doc{
			Summary:  "The number of a port by the name of its service: port(\"https\") is 443. It does not read /etc/services.",
			Examples: []string{`cgroup_skb:/sys/fs/cgroup:egress /pkt.dport in (port("http"), port("https"))/ { @[pkt.daddr] = count(); }`},
		},
		Check: func(c Checker, call *Call) *types.Type { return checkNumber(c, call, ports.Get(), "port") },
		Emit:  emitLit,
	}
}

// PortOf returns the number of a port by the usual name of its service.
func PortOf(name string) (n uint16, ok bool) {
	v, ok := ports.Get()[name]
	return uint16(v), ok
}
