package hosts

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gotrace/gotrace/runtime/dns"
)

// records has the addresses of names for the server of the tests. Names that are missing do
// not exist.
var records = map[string][]string{
	"both.test.":       {"192.0.2.1", "2001:db8::1"},
	"four.test.":       {"192.0.2.4"},
	"six.test.":        {"2001:db8::6"},
	"none.test.":       {},
	"alias.test.":      {"192.0.2.7"}, // after a CNAME
	"forged.test.":     {"192.0.2.8"}, // after answers to other queries
	"fails.test.":      {},            // the server fails
	"broken.test.":     {},            // the answer is cut off
	"short.corp.test.": {"192.0.2.9"},
	"a.b.corp.test.":   {"192.0.2.10"},
	"many.test.":       nil, // too many for UDP
}

func init() {
	for i := range 60 {
		records["many.test."] = append(records["many.test."], netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String())
	}
}

// serve answers a query, with TCP or UDP.
func serve(query []byte, tcp bool) (answers [][]byte) {
	name, rest := "", query[dns.HeaderSize:]
	for rest[0] != 0 {
		name += string(rest[1:1+rest[0]]) + "."
		rest = rest[1+rest[0]:]
	}
	kind := binary.BigEndian.Uint16(rest[1:])
	b := slices.Clone(query)
	b[2] |= 0x80
	list, ok := records[name]
	switch {
	case name == "fails.test.":
		b[3] |= 2
		return [][]byte{b}
	case !ok:
		b[3] |= 3
		return [][]byte{b}
	case name == "many.test." && !tcp:
		b[2] |= 2
		return [][]byte{b}
	}
	count := 0
	record := func(kind uint16, data []byte) {
		count++
		b = append(b, 0xc0, dns.HeaderSize) // the name of the question
		b = binary.BigEndian.AppendUint16(b, kind)
		b = binary.BigEndian.AppendUint16(b, dns.Internet)
		b = append(b, 0, 0, 0, 60)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
	}
	if name == "alias.test." {
		record(5, []byte("\x03www\x04test\x00"))
	}
	for _, text := range list {
		if a := netip.MustParseAddr(text); a.Is4() == (kind == dns.A) {
			record(kind, a.AsSlice())
		}
	}
	binary.BigEndian.PutUint16(b[6:], uint16(count))
	switch name {
	case "broken.test.":
		binary.BigEndian.PutUint16(b[6:], 3)
	case "forged.test.":
		number, question := slices.Clone(b), slices.Clone(b)
		number[0]++
		number[len(number)-1]++
		question[dns.HeaderSize+1]++
		return [][]byte{{}, number[:8], number, question, b}
	}
	return [][]byte{b}
}

// start starts a server of names and returns its port.
func start(t *testing.T) uint16 {
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	port := udp.LocalAddr().(*net.UDPAddr).Port
	tcp, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	go func() {
		buf := make([]byte, 1024)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, b := range serve(buf[:n], false) {
				udp.WriteTo(b, from)
			}
		}
	}()
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			io.ReadFull(c, size[:])
			query := make([]byte, binary.BigEndian.Uint16(size[:]))
			io.ReadFull(c, query)
			b := serve(query, true)[0]
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
			c.Close()
		}
	}()
	return uint16(port)
}

func write(t *testing.T, name, text string) string {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLookup(t *testing.T) {
	s := system{
		hosts:  write(t, "hosts", "# comment\n192.0.2.20 first.test first # four.test\n2001:db8::20 FIRST.test\nnonsense four.test\n"),
		resolv: write(t, "resolv.conf", "search corp.test\nnameserver 127.0.0.1\noptions ndots:2 timeout:3\n"),
		port:   start(t),
	}
	for _, tt := range []struct {
		name, want string
		err        error
	}{
		{"192.0.2.33", "192.0.2.33", nil},
		{"::1", "::1", nil},
		{"first.test", "192.0.2.20 2001:db8::20", nil},
		{"First.Test.", "192.0.2.20 2001:db8::20", nil},
		{"first", "192.0.2.20", nil},
		{"both.test", "192.0.2.1 2001:db8::1", nil},
		{"four.test.", "192.0.2.4", nil},
		{"six.test", "2001:db8::6", nil},
		{"none.test", "", errNoHost},
		{"missing.test", "", errNoHost},
		{"alias.test", "192.0.2.7", nil},
		{"forged.test", "192.0.2.8", nil},
		{"broken.test", "", errMessage},
		{"short", "192.0.2.9", nil},
		{"short.", "", errNoHost},
		{"a.b", "192.0.2.10", nil},
		{"many.test", strings.Join(records["many.test."], " "), nil},
		{"", "", errName},
		{"a..b", "", errName},
		{strings.Repeat("a", 64) + ".test", "", errName},
		{strings.Repeat("abcdefg.", 40), "", errName},
	} {
		list, err := s.lookup(tt.name, time.Now().Add(time.Minute))
		var got []string
		for _, a := range list {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%q has %q (%v), want %q (%v)", tt.name, got, err, tt.want, tt.err)
		}
	}
	if _, err := s.lookup("fails.test", time.Now().Add(time.Minute)); err == nil || errors.Is(err, errNoHost) {
		t.Errorf("a server that fails: %v", err)
	}
	if _, err := s.lookup("both.test", time.Now().Add(-time.Second)); !errors.Is(err, errTimeout) {
		t.Errorf("no time left: %v", err)
	}
}

// TestNextServer asks a second server if the first does not answer.
func TestNextServer(t *testing.T) {
	s := system{resolv: write(t, "resolv.conf", "nameserver 127.0.0.2\nnameserver 127.0.0.1\n"), port: start(t)}
	list, err := s.lookup("four.test", time.Now().Add(time.Minute))
	if len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

func TestPort(t *testing.T) {
	file := write(t, "services", "# services\nssh\t22/tcp\t\t# remote login\nweb 8080/tcp www http-alt\ntime 37/udp\nweb 81/udp\nodd 99999/tcp\n")
	for _, s := range []system{{services: file}, {services: "/nonexistent"}} {
		for name, want := range map[string]uint16{"ssh": 22, "SSH": 22, "https": 443, "nothing": 0, "8080/tcp": 0, "odd": 0, "": 0} {
			if n, ok := s.portOf(name); n != want || ok != (want != 0) {
				t.Errorf("%q: %d, %v", name, n, ok)
			}
		}
	}
	for name, want := range map[string]uint16{"web": 8080, "www": 8080, "time": 37} {
		if n, _ := (system{services: file}).portOf(name); n != want {
			t.Errorf("%q: %d", name, n)
		}
	}
}

func TestDial(t *testing.T) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	c, err := Dial("127.0.0.1", port, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.WriteString("hello")
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	l.Close()
	if _, err := Dial("127.0.0.1", 1, time.Minute); err == nil {
		t.Error("there is a server at port 1")
	}
}

// TestSlowServer checks that the client does not wait beyond the deadline for a server
// that sends a byte now and then.
func TestSlowServer(t *testing.T) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		for err == nil {
			time.Sleep(5 * time.Millisecond)
			_, err = c.Write([]byte{200})
		}
	}()
	query, _ := newQuery(1, "both.test.", dns.A)
	if _, err := exchangeTCP(l.Addr().(*net.TCPAddr).AddrPort(), query, time.Now().Add(100*time.Millisecond)); err != errTimeout {
		t.Error(err)
	}
}

func FuzzAddresses(f *testing.F) {
	query, _ := newQuery(1, "both.test.", dns.A)
	f.Add(serve(query, false)[0])
	f.Fuzz(func(t *testing.T, answer []byte) {
		if answers(answer, query) {
			addresses(answer)
		}
	})
}
