package live

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// widths lists the types of testdata/params/widths.c and the values passed.
var widths = []struct{ name, value, size string }{
	{"i8", "-2", "1"}, {"u8", "254", "1"}, {"c", "120", "1"},
	{"i16", "-3", "2"}, {"u16", "65533", "2"},
	{"i32", "-4", "4"}, {"u32", "4294967292", "4"},
	{"i64", "-5", "8"}, {"u64", "18446744073709551611", "8"},
	{"yes", "1", "1"}, {"no", "0", "1"},
	{"color", "2", "4"}, {"sign", "-1", "4"},
}

// TestWidths passes and returns values in registers with garbage in the upper bits.
// retval and argN, in registers and on the stack, must have the value of their type.
func TestWidths(t *testing.T) {
	for _, name := range []string{"widths-O0", "widths-O2"} {
		t.Run(name, func(t *testing.T) {
			if name != "widths-O2" {
				native(t)
			}
			bin := fixture(t, name)
			const onStack = 8 // the number of a parameter that is not in a register
			var prog, want strings.Builder
			for _, w := range widths {
				fmt.Fprintf(&prog, `
uprobe:BIN:arg_%[1]s {
	printf("%[1]s %%s %%s %%d\n", arg0, arg%[3]d, arg0 == %[2]s && arg%[3]d == %[2]s);
	print(sizeof(arg0));
	@arg_%[1]s[arg0] = max(arg%[3]d);
	print(@arg_%[1]s); clear(@arg_%[1]s);
}
uretprobe:BIN:ret_%[1]s {
	printf("%[1]s returns %%s %%d %%d\n", retval, retval == %[2]s, retval ? 1 : 0);
	$v = retval; @kept_%[1]s = $v; @t_%[1]s = ($v, 1);
	print($v); print(@kept_%[1]s); print(@t_%[1]s);
	clear(@kept_%[1]s); clear(@t_%[1]s);
}
`, w.name, w.value, onStack)
				truth := map[bool]string{true: "0", false: "1"}[w.value == "0"]
				fmt.Fprintf(&want, "%[1]s %[2]s %[2]s 1\n%[3]s\n@arg_%[1]s[%[2]s]: %[2]s\n", w.name, w.value, w.size)
				fmt.Fprintf(&want, "%[1]s returns %[2]s 1 %[3]s\n%[2]s\n@kept_%[1]s: %[2]s\n@t_%[1]s: (%[2]s, 1)\n", w.name, w.value, truth)
			}
			prints(t, bin, prog.String(), want.String())
		})
	}
}

// TestUSDTWidths reads arguments of USDT probes that are narrower than a register,
// from registers and memory with garbage beside them, and constants.
func TestUSDTWidths(t *testing.T) {
	for _, name := range []string{"usdt-O0", "usdt-O2"} {
		t.Run(name, func(t *testing.T) {
			if name != "usdt-O2" {
				native(t)
			}
			bin := fixture(t, name)
			var prog, want strings.Builder
			var keyed []string
			for _, w := range []struct{ name, value string }{
				{"i8", "-2"}, {"u8", "254"}, {"i16", "-3"}, {"u16", "65533"}, {"i32", "-4"}, {"u32", "4294967292"}, {"i64", "-5"}, {"zero", "0"},
			} {
				fmt.Fprintf(&prog, "usdt:BIN:widths:%[1]s {\n", w.name)
				for i := range 4 { // the places
					fmt.Fprintf(&prog, `
	printf("%[1]s %[2]d %%lld %%d %%d\n", arg%[2]d, arg%[2]d == %[3]s, arg%[2]d ? 1 : 0);
	$v%[2]d = arg%[2]d; print((int64)$v%[2]d);
`, w.name, i, w.value)
					truth := map[bool]int{w.value != "0": 1}[true]
					fmt.Fprintf(&want, "%[1]s %[2]d %[3]s 1 %[4]d\n%[3]s\n", w.name, i, w.value, truth)
				}
				fmt.Fprintf(&prog, "\t@%[1]s[arg0, arg1, arg2] = max(arg3);\n}\n", w.name)
				keyed = append(keyed, fmt.Sprintf("@%[1]s[%[2]s, %[2]s, %[2]s]: %[2]s\n", w.name, w.value))
			}
			slices.Sort(keyed)
			want.WriteString(strings.Join(keyed, ""))
			prints(t, bin, prog.String(), want.String())
		})
	}
}

// TestUntypedWords reads the same values without debug info. %d prints a value that may
// be a negative int as one, but not the result of a computation.
func TestUntypedWords(t *testing.T) {
	bin := fixture(t, "widths-O2")
	if err := exec.Command("strip", "-g", bin).Run(); err != nil {
		t.Skip(err)
	}
	prints(t, bin, `
uprobe:BIN:plain {
	printf("%d %i %u %x %lld\n", arg0, arg0, arg0, arg0, arg0);
	$v = arg0; @m[1] = arg0; @n = (arg0, 1);
	printf("%d %d %d %d\n", $v, @m[1], @n.0, pid > 0 ? arg0 : 0);
	printf("%d %d %d\n", arg0 + 1, arg0 & 0xffffffff, (uint64)arg0);
	printf("%d %d\n", (int32)arg0, arg1);
	clear(@m); clear(@n);
}
uretprobe:BIN:plain { printf("%d\n", retval); }`, `
-7 -7 4294967289 fffffff9 4294967289
-7 -7 -7 -7
4294967290 4294967289 4294967289
-7 0
-7`)
}
