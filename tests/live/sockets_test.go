package live

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSockets opens and closes connections while a script keeps values for both ends. At
// the end, only sockets that are still open have values, also after the script has
// deleted, cleared or zeroed some.
func TestSockets(t *testing.T) {
	if *peer {
		t.Skip("bpftrace keeps the values of sockets that do not exist any more")
	}
	needRoot(t)
	const open = 3
	for i, c := range []struct{ each, last, want string }{
		{"", "", "7 7 7 7 7 7"},
		{"delete(@m, args.sk);", "", ""},
		{"if (has_key(@m, args.sk)) { let $old = @m[args.sk]; @m[args.sk] = $old + 5; }", "", "12 12 12 12 12 12"},
		{"@s[args.sk] = (comm, 1);", "clear(@m);", ""},
		{"", "zero(@m);", "0 0 0 0 0 0"},
	} {
		t.Run(c.each+c.last, func(t *testing.T) {
			total := 20
			if i == 0 && !testing.Short() {
				total = 10_000
			}
			l, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			port := l.Addr().(*net.TCPAddr).Port
			script := fmt.Sprintf(`rawtracepoint:inet_sock_set_state {
	let $sk = args.sk.__sk_common;
	if (args.newstate == 1 && ($sk.skc_num == %[1]d || bswap((uint16)$sk.skc_dport) == %[1]d)) { if (@m[args.sk] != 7) { @m[args.sk] = 7; } @n++; %[2]s }
	if (args.newstate == 10) { %[3]s printf("listens\n"); }
}`, port, c.each, c.last)
			if plan, err := exec.Command(*gotrace, "--dump", "plan", "--dry-run", "-e", script).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, plan)
			} else if !strings.Contains(string(plan), "kept sockets in AT_m") {
				t.Skip("this kernel has no socket storage that can be read")
			}
			s := start(t, "-e", script)
			s.attached()
			ends := func() (list [2]net.Conn) {
				var err error
				if list[0], err = net.Dial("tcp4", l.Addr().String()); err == nil {
					list[1], err = l.Accept()
				}
				if err != nil {
					t.Fatal(err)
				}
				return list
			}
			for i := range total + open {
				list := ends()
				if i < open {
					defer list[0].Close()
					defer list[1].Close()
					continue
				}
				list[0].(*net.TCPConn).SetLinger(0) // so that no end waits
				list[0].Close()
				list[1].Close()
			}
			last, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			last.Close()
			s.waitFor("listens")
			s.signal(unix.SIGINT)
			r := s.wait()
			r.quiet(t)
			var got []string
			for line := range strings.Lines(r.stdout) {
				if strings.HasPrefix(line, "@m[0x") {
					got = append(got, strings.TrimSpace(line[strings.Index(line, ": ")+2:]))
				}
			}
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("the map has %q, want %q", text, c.want)
			}
			if want := fmt.Sprintf("@n: %d\n", 2*(total+open)); !strings.Contains(r.stdout, want) {
				t.Errorf("it does not print %q: %s", want, r.stdout)
			}
		})
	}
}
