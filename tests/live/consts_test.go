package live

import (
	"strings"
	"testing"
)

// TestConstantParams reads parameters that a compiled function does not receive, since
// they are the same in every call. Their values come from the debug info.
func TestConstantParams(t *testing.T) {
	// The prefix of the functions' names excludes similar names of the C library in
	// static programs.
	for name, prefix := range map[string]string{"consts-4": "", "consts-5": "", "consts-cpp": "_ZL*"} {
		t.Run(name, func(t *testing.T) {
			if name != "consts-5" {
				native(t)
			}
			bin := fixture(t, name)
			for _, s := range []struct{ prog, want string }{
				{`uprobe:BIN:*narrow* { print((args.x, args.a, args.b, args.c, args.d)); }`, "(1, -3, 200, -300, 60000)\n(2, -3, 200, -300, 60000)"},
				{`uprobe:BIN:*wide* { print((args.x, args.a, args.b, args.c, args.d)); }`, "(1, -70000, 4000000000, -5, 18364758544493064720)\n(2, -70000, 4000000000, -5, 18364758544493064720)"},
				{`uprobe:BIN:*named* { print((args.x, args.yes, args.c, args.d, args.letter)); }`, "(1, true, RED, GREEN, 122)\n(2, true, RED, GREEN, 122)"},
				{`uprobe:BIN:*wide* /args.a == -70000 && args.b > 3999999999 && args.c < 0/ { @[args.a, args.b] = sum(args.x); }`, "@[-70000, 4000000000]: 3"},
				{`uprobe:BIN:*narrow* { $a = args; print(($a.x, $a.a, $a.d)); @ = args.c; }`, "(1, -3, 60000)\n(2, -3, 60000)\n@: -300"},
				{`uprobe:BIN:*narrow* { printf("%d %u %x\n", args.a, args.b, args.d); }`, "-3 200 ea60\n-3 200 ea60"},
			} {
				prints(t, bin, strings.Replace(s.prog, "BIN:*", "BIN:"+prefix, 1), s.want)
			}
		})
	}
}
