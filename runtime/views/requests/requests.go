// Package requests shows the requests that servers and clients on this machine exchange:
// HTTP, DNS, MySQL, PostgreSQL and Redis. Programs in the kernel match each answer with its
// request and send the first bytes of both (see lang/providers). This package has the script
// for that, splits the bytes into requests and answers, and prints them.
package requests

import (
	"net/netip"
	"time"
)

// Request is a request and the known parts of its answer.
type Request struct {
	Start           time.Time
	PID             int
	Comm            string
	Container, Unit string // "-" if there is none
	Server          bool   // whether the process is the server
	TLS             bool
	Local, Peer     netip.AddrPort // not valid for local sockets

	// Op is the operation, such as GET, and Target its object: a path, a query, a key or a
	// name. Protocol.Op and Protocol.Target are the protocol's own names for them. Host is
	// set for HTTP.
	Op, Target, Host string
	// Asked are values that the user requested: headers by name, and the body.
	Asked []Field

	// Status is the status of the answer in the form of the protocol, or "" if there is
	// no answer.
	Status string
	Failed bool // whether the status is an error
	Rows   int  // of the result, or -1

	ReqBytes, RespBytes uint64
	// Latency is the time until the first byte of the answer, or until the connection ended.
	// Total is the time until its last byte that was seen.
	Latency, Total time.Duration
	// Whole is set if the answer is known to be complete.
	Whole bool

	route string // see route
	size  uint64 // bytes of the request among those that were split
	// These members describe the rest of the request. cut is set if it has to be split
	// again together with the bytes that follow. left is the number of bytes that follow,
	// and chunks reads a chunked body.
	cut    bool
	left   uint64
	chunks *chunks
	empty  bool // the answer has no body, whatever its header says
	// silent is set if it gets no answer. It is not shown. joined is set if it is also more of the
	// request before, whose answer has started: that is owner.
	silent, joined bool
	owner          *Request
	replies        int // of a request with several answers: the number of those that are still to come
}

// Field is a value with its name.
type Field struct{ Name, Value string }

// Protocol is one that this package knows.
type Protocol struct {
	Name  string
	About string
	Ports []uint16 // those of servers; none: all ports
	// Op and Target are the names of these members of a request.
	Op, Target string
	Event      string // the event of the provider
	Datagrams  bool   // requests are single datagrams

	// split returns the requests in size bytes that a client sent before the answer
	// starts. data has the first of the bytes. It returns none if the bytes are not
	// requests.
	split func(data []byte, size uint64, o *Display) []*Request
	// reader returns a reader for the answers on one connection.
	reader func(o *Display) reader
}

// reader reads the answers on one connection, in order.
type reader interface {
	// read reads n bytes, of which data has the first. It calls begin at the start of an
	// answer with its status, and end at its end.
	read(data []byte, n uint64, to answers)
	// lost reports whether the reader cannot tell where the answer ends.
	lost() bool
}

// answers receives the answers that a reader has read.
type answers interface {
	// next returns the request that begin would return.
	next() *Request
	// begin starts an answer and returns its request, or nil if the request is not known.
	begin() *Request
	// count adds n bytes to the answer.
	count(n uint64)
	// end ends the answer.
	end()
}

// Protocols returns the protocols in the order of the help text.
func Protocols() []*Protocol {
	return []*Protocol{httpProtocol(), dnsProtocol(), mysqlProtocol(), pgsqlProtocol(), redisProtocol()}
}

// Find returns the protocol with a name, or nil.
func Find(name string) *Protocol {
	for _, p := range Protocols() {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Display specifies what to show and how.
type Display struct {
	Filter  Filter
	Unmask  bool     // show query strings, credentials and literals
	Headers []string // names of headers to show
	Body    int      // bytes of bodies to show
	Top     int      // print this many routes at the end, and no requests
	Hist    bool     // print histograms of the latency by route at the end, and no requests
	JSON    bool
	Quiet   bool
}

// Counts holds the numbers of requests that were seen, and of those that were missed.
type Counts struct {
	Requests  uint64
	Unasked   uint64 // answers to requests that were not seen
	Garbage   uint64 // pieces that look like requests but are not
	Forgotten uint64 // connections given up because there were too many
	Unclear   uint64 // requests whose answers could not be identified
	Late      uint64 // answers to requests that were shown without one
	HTTP2     uint64 // sides of connections with HTTP/2, which is not decoded
}
