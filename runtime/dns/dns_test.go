package dns

import (
	"fmt"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	long := strings.Repeat("\x3f"+strings.Repeat("a", 63), 3)
	for _, c := range []struct {
		in   string
		at   int
		name string
		end  int // 0: the name is invalid
	}{
		{"\x00x", 0, ".", 1},
		{"\x01a\x00x", 0, "a.", 3},
		{"\x03WwW\x02x.\x01\\\x02\x00\xff\x00", 0, `www.x\046.\092.\000\255.`, 13},
		{"\x01a\x00\x01b\xc0\x00x", 3, "b.a.", 7},
		{"\x01a\x00\xc0\x00x", 3, "a.", 5},
		{long + "\x3d" + strings.Repeat("b", 61) + "\x00", 0, strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61) + ".", 255},
		{long + "\x3e" + strings.Repeat("b", 62) + "\x00", 0, "", 0},
		{"", 0, "", 0}, {"\x01", 0, "", 0}, {"\x01a", 0, "", 0}, {"\xc0", 0, "", 0}, {"\xc0\x00", 0, "", 0}, {"\xc0\x10", 0, "", 0},
		{"\x40a", 0, "", 0}, {"\x05ab", 0, "", 0}, {"\x00", 1, "", 0},
	} {
		name, end, ok := Name([]byte(c.in), c.at)
		if !ok {
			end = 0
		}
		if ok != (c.end != 0) || ok && name != c.name || end != c.end {
			t.Errorf("%q: %q, %d, %v", c.in, name, end, ok)
		}
	}
}

// response is one for www.example.com with a CNAME and an address.
const response = "\x00\x07\x81\x83\x00\x01\x00\x02\x00\x00\x00\x00\x03WWW\x07example\x03com\x00\x00\x01\x00\x01" +
	"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3d\x00\x04\x01x\xc0\x10" + "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x02"

func text(m Message) string {
	s := fmt.Sprintf("%s %s %v %d %d", m.Name, TypeName(m.Type), m.Response, m.Code, m.Answers)
	for r := range m.Records() {
		s += fmt.Sprintf("; %s %d %d", TypeName(r.Type), r.Class, r.TTL)
		if a, ok := r.Addr(); ok {
			s += " " + a.String()
		}
		if name, ok := r.Target(); ok {
			s += " " + name
		}
	}
	return s
}

func TestParse(t *testing.T) {
	change := func(at int, c byte) string { return response[:at] + string(c) + response[at+1:] }
	const question = "www.example.com. A true 3 2"
	for _, c := range []struct{ name, in, want string }{
		{"response", response, question + "; CNAME 1 61 x.example.com.; A 1 60 127.0.0.2"},
		{"second record is cut off", response[:len(response)-1], question + "; CNAME 1 61 x.example.com."},
		{"only the question", response[:33], question},
		{"question is cut off", response[:32], ""},
		{"no header", response[:11], ""},
		{"another operation", change(2, 0x91), ""},
		{"two questions", change(5, 2), ""},
		{"wrong size of an address", response[:len(response)-5] + "\x03\x7f\x00\x00", question + "; CNAME 1 61 x.example.com.; A 1 60"},
	} {
		m, ok := Parse([]byte(c.in))
		got := ""
		if ok {
			got = text(m)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(response))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := Parse(b)
		if !ok {
			return
		}
		if !strings.HasSuffix(m.Name, ".") || len(m.Name) > 4*maxName {
			t.Errorf("name %q", m.Name)
		}
		n := 0
		for r := range m.Records() {
			r.Addr()
			r.Target()
			n++
		}
		if n > m.Answers {
			t.Errorf("%d records of %d", n, m.Answers)
		}
	})
}
