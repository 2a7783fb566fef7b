package requests

import (
	"bytes"
	"fmt"
	"strings"
)

// Script returns the script that reports the pieces of a protocol's answers. The sink of
// NewSink reads what it prints.
func Script(p *Protocol, o *Display) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// The requests of %s, for gotrace requests.\n", p.About)
	fmt.Fprintf(&b, "%s%s\n{\n", p.Event, predicate(p, &o.Filter))
	b.WriteString(`  if (args.kind == 1 || args.kind == 4 || args.kind == 7 || args.kind == 11) {
    print((args.kind, args.conn, args.seen, args.server, args.pos, args.bytes, args.data, args.ns,
           args.tls, args.owner, args.owner_comm, pid, container, unit, args.family, args.laddr, args.lport, args.raddr, args.rport,
           args.req_bytes, args.request));
  } else {
    print((args.kind, args.conn, args.seen, args.server, args.pos, args.bytes, args.data));
  }
}
`)
	return b.String()
}

// predicate returns the predicate for the parts of the filter that the kernel decides: the
// ports and the side.
func predicate(p *Protocol, f *Filter) string {
	var all []string
	ports := f.Ports
	if len(ports) == 0 {
		ports = p.Ports
	}
	if len(ports) > 0 {
		var list []string
		for _, n := range ports {
			list = append(list, fmt.Sprint(n))
		}
		in := strings.Join(list, ", ")
		all = append(all, fmt.Sprintf("(args.family == 1 || args.lport in (%s) || args.rport in (%s))", in, in))
	}
	if f.Server {
		all = append(all, "args.server")
	}
	if f.Client {
		all = append(all, "!args.server")
	}
	if len(all) == 0 {
		return ""
	}
	return " /" + strings.Join(all, " && ") + "/"
}
