package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/views/requests"
)

const requestsUsage = `gotrace requests - shows the requests of servers and clients on this machine

USAGE:
    gotrace requests PROTOCOL [options]

PROTOCOL is %s. Each request is a line: when it
started, the process, its side, the peer, the time until the answer started, the status,
the bytes of the request and of the answer, and what was asked for. If both sides run on
this machine, there are two lines.

    --slow DURATION        only requests whose answers took at least this long
    --port N[,N]           only connections with one of these ports
    --peer ADDRESS[/N]     only this peer, or network of peers
    --server, --client     only this side
    --status S             404, 4xx, '>=500', OK, or the code of an error
    --failed               only errors, and requests without an answer
    --op NAME              the method, command or type
    --target PATTERN       the path, query, key or name; * stands for any text
    --host NAME            the host that HTTP clients ask for
    --top N                print the N routes with most time at the end, and no requests
    --hist                 print histograms of the time in µs by route at the end
    --header NAME          show the values of a header; of Cookie and the like with --unmask
    --body N               show the first N bytes of bodies
    --unmask               show query strings, credentials and literals
    --print                print the script that this becomes, and run nothing
Of these, --port, --server and --client reduce the cost, as do -p, --follow, --comm, --uid,
--container, --unit and --cgroup, which are gotrace's own, like -c, -o, -f json and -q.
`

// requestsOptions are the options of gotrace requests in addition to those of gotrace.
type requestsOptions struct {
	requests.Display
	print bool
	ports []string
	peers []string
}

// register adds the flags of gotrace requests.
func (r *requestsOptions) register(fs *flagSet) {
	f := &r.Filter
	fs.DurationVar(&f.Slow, "slow", 0, "")
	fs.StringSliceVar(&r.ports, "port", nil, "")
	fs.StringSliceVar(&r.peers, "peer", nil, "")
	fs.BoolVar(&f.Server, "server", false, "")
	fs.BoolVar(&f.Client, "client", false, "")
	fs.BoolVar(&f.Failed, "failed", false, "")
	fs.StringSliceVar(&f.Status, "status", nil, "")
	fs.StringSliceVar(&f.Op, "op", nil, "")
	fs.StringArrayVar(&f.Target, "target", nil, "")
	fs.StringSliceVar(&f.Host, "host", nil, "")
	fs.IntVar(&r.Top, "top", 0, "")
	fs.BoolVar(&r.Hist, "hist", false, "")
	fs.StringSliceVar(&r.Headers, "header", nil, "")
	fs.IntVar(&r.Body, "body", 0, "")
	fs.BoolVar(&r.Unmask, "unmask", false, "")
	fs.BoolVar(&r.print, "print", false, "")
}

// resolve checks the options and completes the filter.
func (r *requestsOptions) resolve() error {
	for _, s := range r.ports {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || n == 0 {
			return usagef("USAGE: --port needs a number from 1 to 65535, not %q", s)
		}
		r.Filter.Ports = append(r.Filter.Ports, uint16(n))
	}
	for _, s := range r.peers {
		p, err := netip.ParsePrefix(s)
		if a, aerr := netip.ParseAddr(s); aerr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return usagef("USAGE: --peer needs an address or a prefix, not %q", s)
		}
		r.Filter.Peer = append(r.Filter.Peer, p)
	}
	if r.Filter.Slow < 0 || r.Filter.Slow > time.Hour*24*365 || r.Top < 0 || r.Body < 0 {
		return usagef("USAGE: --slow, --top and --body need positive values")
	}
	if err := r.Filter.Check(); err != nil {
		return usagef("USAGE: %v", err)
	}
	return nil
}

// protocolNames returns the protocols as the help text lists them.
func protocolNames() string {
	var names []string
	for _, p := range requests.Protocols() {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// requests runs gotrace requests and returns the exit status.
func (a *app) requests(args []string) int {
	var own requestsOptions
	o, words, err := parseCommand(args, own.register)
	if err == nil && o.help {
		fmt.Fprintf(a.stdout, requestsUsage, protocolNames())
		return statusOK
	}
	if err == nil {
		err = own.resolve()
	}
	var p *requests.Protocol
	switch {
	case err != nil:
	case len(words) != 1:
		err = usagef("USAGE: gotrace requests needs one protocol: %s", protocolNames())
	case requests.Find(words[0]) == nil:
		err = usagef("There is no protocol %q. The protocols are: %s", words[0], protocolNames())
	case sinkOf(o.format) == nil:
		err = usagef("Invalid output format %q\nValid formats: '%s'", o.format, strings.Join(formats(), "', '"))
	default:
		p = requests.Find(words[0])
	}
	if err != nil {
		a.report.errorf("%v", err)
		if errors.As(err, &badFlag{}) {
			io.WriteString(a.report.w, "\n")
			fmt.Fprintf(a.report.w, requestsUsage, protocolNames())
		}
		return statusError
	}
	a.opt = o
	own.JSON, own.Quiet = o.format == "json", o.quiet
	script := source.NewFile("requests", requests.Script(p, &own.Display))
	if own.print {
		return a.printScript(script)
	}
	return a.runScript(script, func(out *output.Writer, err io.Writer, style output.Style) output.Sink {
		return requests.NewSink(p, &own.Display, out, err, style)
	})
}
