package requests

import (
	"fmt"
	"strings"
)

// Script returns the script that reports the pieces of a protocol's answers. The sink of
// NewSink reads what it prints.
func Script(p *Protocol, o *Options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "// The requests of %s, for gotrace requests.\n", p.About)
	fmt.Fprintf(&b, "%s%s\n{\n", p.Event, portPredicate(p, &o.Filter))
	b.WriteString(`  if (args.kind == 1 || args.kind == 4) {
    print((args.kind, (uint64)args.sock, nsecs, args.server, args.pos, args.bytes, args.data, args.ns,
           pid, comm, container, unit, args.family, args.laddr, args.lport, args.raddr, args.rport,
           args.req_bytes, args.request));
  } else {
    print((args.kind, (uint64)args.sock, nsecs, args.server, args.pos, args.bytes, args.data));
  }
}
`)
	return b.String()
}

// portPredicate returns the predicate for the ports of servers.
func portPredicate(p *Protocol, f *Filter) string {
	ports := f.Ports
	if len(ports) == 0 {
		ports = p.Ports
	}
	if len(ports) == 0 {
		return ""
	}
	var list []string
	for _, n := range ports {
		list = append(list, fmt.Sprint(n))
	}
	in := strings.Join(list, ", ")
	return fmt.Sprintf(" /args.family == 1 || args.lport in (%s) || args.rport in (%s)/", in, in)
}
