package hosts

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/dns"
	"github.com/gotrace/gotrace/runtime/outline"
)

// maxUDP is the size of a message over UDP in bytes.
const maxUDP = 512

var (
	errNoHost  = errors.New("there is no such host")
	errMessage = errors.New("the answer of the name server is invalid")
	errName    = errors.New("the name of the host is invalid")
)

// config is what resolv.conf contains, see resolv.conf(5).
type config struct {
	servers  []netip.Addr
	search   []string
	ndots    int
	timeout  time.Duration // time limit of one question to one server
	attempts int
}

func (s system) config() *config {
	c := &config{ndots: 1, timeout: 5 * time.Second, attempts: 2}
	for _, words := range readLines(s.resolv) {
		switch words[0] {
		case "nameserver":
			if len(words) > 1 {
				if a, err := netip.ParseAddr(words[1]); err == nil && len(c.servers) < 3 {
					c.servers = append(c.servers, a)
				}
			}
		case "domain", "search":
			c.search = words[1:]
		case "options":
			for _, w := range words[1:] {
				c.option(w)
			}
		}
	}
	if c.servers == nil {
		c.servers = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	return c
}

func (c *config) option(word string) {
	name, text, _ := strings.Cut(word, ":")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return
	}
	switch name {
	case "ndots":
		c.ndots = min(n, 15)
	case "timeout":
		c.timeout = time.Duration(min(max(n, 1), 30)) * time.Second
	case "attempts":
		c.attempts = min(max(n, 1), 5)
	}
}

// candidates returns the full names to try for a name, the likeliest first.
func (c *config) candidates(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	var list []string
	for _, domain := range c.search {
		list = append(list, name+"."+strings.TrimSuffix(domain, ".")+".")
	}
	if strings.Count(name, ".") >= c.ndots {
		return append([]string{name + "."}, list...)
	}
	return append(list, name+".")
}

// ask asks the name servers for the addresses of a name.
func (s system) ask(name string, deadline time.Time) ([]netip.Addr, error) {
	c := s.config()
	var failed error
	for _, full := range c.candidates(name) {
		v4, err := s.askFor(c, full, dns.A, deadline)
		v6, err6 := s.askFor(c, full, dns.AAAA, deadline)
		if list := append(v4, v6...); len(list) > 0 {
			return list, nil
		}
		for _, err := range []error{err, err6} {
			if err != nil && !errors.Is(err, errNoHost) {
				failed = err
			}
		}
	}
	if failed == nil {
		failed = errNoHost
	}
	return nil, outline.Errorf("%s: %w", name, failed)
}

// askFor asks the servers for the records of one type, one server after the other.
func (s system) askFor(c *config, name string, kind uint16, deadline time.Time) ([]netip.Addr, error) {
	query, err := newQuery(uint16(rand.Uint32()), name, kind)
	if err != nil {
		return nil, err
	}
	err = errTimeout
	for range c.attempts {
		for _, server := range c.servers {
			wait := min(c.timeout, time.Until(deadline))
			if wait <= 0 {
				return nil, err
			}
			var list []netip.Addr
			list, err = exchange(netip.AddrPortFrom(server, s.port), query, time.Now().Add(wait))
			if err == nil || errors.Is(err, errNoHost) {
				return list, err
			}
		}
	}
	return nil, err
}

// newQuery returns a message that asks for records of a full name.
func newQuery(id uint16, name string, kind uint16) ([]byte, error) {
	const recurse = 1 << 8
	b := []byte{}
	for _, word := range []uint16{id, recurse, 1, 0, 0, 0} {
		b = binary.BigEndian.AppendUint16(b, word)
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 {
			return nil, errName
		}
		b = append(append(b, byte(len(label))), label...)
	}
	b = append(b, 0)
	if len(b)-dns.HeaderSize > 255 {
		return nil, errName
	}
	b = binary.BigEndian.AppendUint16(b, kind)
	return binary.BigEndian.AppendUint16(b, dns.Internet), nil
}

// exchange sends a query to a server and returns the addresses in its answer. It uses
// TCP if the answer is too long for UDP.
func exchange(server netip.AddrPort, query []byte, deadline time.Time) ([]netip.Addr, error) {
	answer, err := exchangeUDP(server, query, deadline)
	if err == nil {
		if h, ok := dns.ParseHeader(answer); ok && h.Truncated {
			answer, err = exchangeTCP(server, query, deadline)
		}
	}
	if err != nil {
		return nil, err
	}
	return addresses(answer)
}

func exchangeUDP(server netip.AddrPort, query []byte, deadline time.Time) ([]byte, error) {
	f, err := connect(unix.SOCK_DGRAM, server, deadline)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Write(query); err != nil {
		return nil, readError(err)
	}
	buf := make([]byte, maxUDP)
	for {
		n, err := f.Read(buf)
		switch {
		case err != nil && err != io.EOF: // which is an empty message
			return nil, readError(err)
		case answers(buf[:n], query):
			return buf[:n], nil
		}
		// The message does not answer this query and may be forged: wait for the real
		// one.
	}
}

func exchangeTCP(server netip.AddrPort, query []byte, deadline time.Time) ([]byte, error) {
	f, err := connect(unix.SOCK_STREAM, server, deadline)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)); err != nil {
		return nil, readError(err)
	}
	var size [2]byte
	if _, err := io.ReadFull(f, size[:]); err != nil {
		return nil, readError(err)
	}
	answer := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(f, answer); err != nil {
		return nil, readError(err)
	}
	if !answers(answer, query) {
		return nil, errMessage
	}
	return answer, nil
}

func readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errTimeout
	}
	return err
}

// answers reports whether a message answers a query: it has the query's number and repeats
// its question.
func answers(answer, query []byte) bool {
	const response = 0x80
	return len(answer) >= len(query) && string(answer[:2]) == string(query[:2]) && answer[2]&response != 0 &&
		binary.BigEndian.Uint16(answer[4:]) == 1 &&
		strings.EqualFold(string(answer[dns.HeaderSize:len(query)]), string(query[dns.HeaderSize:]))
}

// addresses returns the addresses in the answer to a query.
func addresses(answer []byte) (list []netip.Addr, err error) {
	m, ok := dns.Parse(answer)
	switch {
	case !ok:
		return nil, errMessage
	case m.Code == dns.NameError:
		return nil, errNoHost
	case m.Code != dns.NoError:
		return nil, outline.Errorf("the name server failed with code %d", m.Code)
	}
	n := 0
	for r := range m.Records() {
		n++
		if a, ok := r.Addr(); ok && r.Class == dns.Internet {
			list = append(list, a)
		}
	}
	if n < m.Answers {
		return nil, errMessage
	}
	return list, nil
}
