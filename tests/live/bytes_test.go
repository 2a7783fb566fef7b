package live

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBytes reads the pieces of a writev(), whose bytes are known, with the functions for
// the fields of protocols.
func TestBytes(t *testing.T) {
	if *peer {
		t.Skip("it has no such functions")
	}
	needRoot(t)
	tests := []struct{ expr, want string }{
		{`gather(args.vec, args.vlen, 16)`, "ABCDEF0123456789"},
		{`gather(args.vec, args.vlen, 5)`, "ABCDE"},
		{`gather(args.vec, args.vlen, 1)`, "A"},
		{`gather(args.vec, args.vlen, 300)`, "ABCDEF" + strings.Repeat("0123456789", 20)},
		{`gather(args.vec, args.vlen, 300, 7)`, "ABCDEF0"},
		{`gather(args.vec, args.vlen, 300, 0)`, ""},
		{`gather(args.vec, 0, 300)`, ""},
		{`gather(args.vec, 1, 300)`, "AB"},
		{`gather(args.vec, args.vlen, 300, 5000)`, "ABCDEF" + strings.Repeat("0123456789", 20)},
		{`len($b)`, "16"},
		{`be16($b)`, "16706"}, {`le16($b)`, "16961"},
		{`be32($b, 1)`, "1111704645"}, {`le32($b, 1)`, "1162101570"},
		{`be64($b, 2)`, "4847075266716054067"}, {`le64($b, 8)`, "4123106164818064178"},
		{`be16($b, 14)`, "14393"}, {`be16($b, $two)`, "17220"}, {`be16($b, $two + 12)`, "14393"}, {`be16($b, $two + 13)`, "0"},
		{`be16($b, $two - 3)`, "0"}, {`be16(slice($b, $two + 13), 0)`, "0"}, {`be64($b, $two + 7)`, "0"}, {`be64($b, $two + 6)`, "3617292328856139833"},
		{`be16(uptr(*(uint64*)args.vec))`, "16706"}, {`be16(*(uint64*)args.vec, $two - 2)`, "16706"},
		{`slice($b, 2)`, "CDEF0123456789"}, {`slice($b, $two, 3)`, "CDE"}, {`slice($b, 14, 5)`, "89"},
		{`slice($b, 16)`, ""}, {`slice($b, $two + 900)`, ""}, {`slice($b, $two - 3)`, ""}, {`slice($b, 1, $two)`, "BC"},
		{`buf_concat($b, slice($b, 0, 3), 64)`, "ABCDEF0123456789ABC"}, {`buf_concat($b, $b, 20)`, "ABCDEF0123456789ABCD"},
		{`buf_concat($b, $b, 7)`, "ABCDEF0"}, {`buf_concat(slice($b, 16), $b, 4)`, "ABCD"}, {`buf_concat($b, slice($b, 16), 16)`, "ABCDEF0123456789"},
		{`str($b)`, "ABCDEF0123456789"}, {`str(slice($b, 16))`, ""}, {`str(slice($b, 3, 2))`, "DE"},
		{`buf(*(uint64*)args.vec, args.vlen, 1)`, "A"},
		{`between(str($b), "B", "5")`, "CDEF01234"}, {`between(str($b), "", "C")`, "AB"}, {`between(str($b), "9", "C")`, ""},
		{`between(str($b), "x", "C")`, ""}, {`between(str($b), "8", "xyz")`, "9"}, {`between(str($b), "A", "zyFx", 3)`, "BCD"},
		{`between(str($b), "CDEF01234", "7")`, "56"},
	}
	// The verifier follows all paths through the expressions of one probe.
	const together = 6
	var script strings.Builder
	for i, tt := range tests {
		if i%together == 0 {
			fmt.Fprintf(&script, "tracepoint:syscalls:sys_enter_writev /pid == %d && args.vlen == 4/ { $b = gather(args.vec, args.vlen, 16); $two = (uint64)args.vlen - 2;\n", os.Getpid())
		}
		fmt.Fprintf(&script, "printf(\"%02d [%%s]\\n\", %s);\n", i, tt.expr)
		if i%together == together-1 || i == len(tests)-1 {
			script.WriteString("}\n")
		}
	}
	s := start(t, "-e", script.String())
	s.attached()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := unix.Writev(int(w.Fd()), [][]byte{[]byte("AB"), {}, []byte("CDEF"), []byte(strings.Repeat("0123456789", 20))}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all lines are there", func() bool { return strings.Count(s.stdout.String(), "]\n") >= len(tests) })
	s.signal(syscall.SIGINT)
	got := s.wait()
	got.quiet(t)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	slices.Sort(lines)
	if len(lines) != len(tests) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(tests), got.stdout)
	}
	for i, tt := range tests {
		if want := fmt.Sprintf("%02d [%s]", i, tt.want); lines[i] != want {
			t.Errorf("%s: %s, want %s", tt.expr, lines[i], want)
		}
	}
}
