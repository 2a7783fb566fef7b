package symbols

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// objects builds two files with different functions. The functions of the second
// one are smaller, so that there are gaps between them.
func objects(t *testing.T) (first, second Mapping) {
	t.Helper()
	const text = `
#define F(name, pad) __asm__(".globl " #name "\n.type " #name ",@function\n.p2align 8\n" #name ": ret\n.fill " #pad "\n.size " #name ",.-" #name);
`
	one := program(t, text+"F(first_a, 200) F(first_b, 200)", "-x", "c", "-shared", "-nostdlib")
	two := program(t, text+"F(second_a, 20) F(second_b, 20)", "-x", "c", "-shared", "-nostdlib")
	return objectAt(t, one, 0x400000), objectAt(t, two, 0x400000)
}

// objectAt returns the mapping of a file's code at an address.
func objectAt(t *testing.T, name string, at uint64) Mapping {
	t.Helper()
	f, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 {
			return Mapping{Start: at, End: at + p.Memsz, Offset: p.Off, Inode: fmt.Sprint(st.Sys().(*syscall.Stat_t).Ino), Path: name}
		}
	}
	t.Fatal("no code")
	return Mapping{}
}

// TestImages reports process events to User and looks addresses up. A stack must get
// the names of the program that ran when the stack was taken.
func TestImages(t *testing.T) {
	first, second := objects(t)
	moved := second
	moved.Start, moved.End = moved.Start+0x700000, moved.End+0x700000
	const (
		pid   = 1 << 28 // no process has this ID
		child = pid + 1
		a, b  = 0x400000, 0x400100
		a2    = a + 0x700000
	)
	mapped := func(pid int, m Mapping) func(*User) { return func(u *User) { u.Mapped(pid, m) } }
	executed := func(u *User) { u.Executed(pid) }
	forked := func(u *User) { u.Forked(child, pid, monotonic()) }
	for _, c := range []struct {
		name  string
		steps []func(*User)
		pid   int
		stack []uint64
		want  string
	}{
		{"mapped", []func(*User){mapped(pid, first)}, pid, []uint64{a, b}, "first_a first_b"},
		{"unknown", nil, pid, []uint64{a}, "-"},
		{"elsewhere", []func(*User){mapped(pid, first), executed, mapped(pid, moved)}, pid, []uint64{a}, "first_a"},
		{"elsewhere, new", []func(*User){mapped(pid, first), executed, mapped(pid, moved)}, pid, []uint64{a2}, "second_a"},
		{"both", []func(*User){mapped(pid, first), executed, mapped(pid, second)}, pid, []uint64{a, b}, "second_a second_b"},
		{"in a gap of the second", []func(*User){mapped(pid, first), executed, mapped(pid, second)}, pid, []uint64{a, b + 100}, "first_a first_b"},
		{"in a gap", []func(*User){mapped(pid, second)}, pid, []uint64{a + 21}, "-"},
		{"returns to a gap", []func(*User){mapped(pid, second)}, pid, []uint64{a + 20, a + 21, a + 22, b - 1, b}, "second_a second_a - - second_b"},
		{"replaced", []func(*User){mapped(pid, first), mapped(pid, second)}, pid, []uint64{a, b}, "second_a second_b"},
		{"in a gap of its replacement", []func(*User){mapped(pid, first), mapped(pid, second)}, pid, []uint64{a, b + 100}, "first_a first_b"},
		{"replaced again and again", []func(*User){mapped(pid, first), mapped(pid, second), mapped(pid, first), mapped(pid, second)}, pid, []uint64{a, b + 100}, "first_a first_b"},
		{"replaced, then ended", []func(*User){mapped(pid, first), mapped(pid, second), func(u *User) { u.Ended(pid) }}, pid, []uint64{a, b + 100}, "first_a first_b"},
		{"forked", []func(*User){mapped(pid, first), forked}, child, []uint64{a}, "first_a"},
		{"forked, then changed", []func(*User){mapped(pid, first), forked, mapped(pid, second)}, child, []uint64{a}, "first_a"},
		{"changed in the child", []func(*User){mapped(pid, first), forked, mapped(child, second)}, pid, []uint64{a}, "first_a"},
		{"forked, then executed", []func(*User){mapped(pid, first), forked, executed, mapped(pid, second)}, child, []uint64{a}, "first_a"},
		{"ended", []func(*User){mapped(pid, first), func(u *User) { u.Ended(pid) }}, pid, []uint64{a}, "first_a"},
		{"reused", []func(*User){mapped(pid, first), func(u *User) { u.Ended(pid) }, mapped(child, moved), func(u *User) { u.Forked(pid, child, monotonic()) }}, pid, []uint64{a2}, "second_a"},
		{"before it was reused", []func(*User){mapped(pid, first), func(u *User) { u.Ended(pid) }, mapped(child, moved), func(u *User) { u.Forked(pid, child, monotonic()) }}, pid, []uint64{a}, "first_a"},
	} {
		u := NewUser(View{})
		for _, step := range c.steps {
			step(u)
		}
		var names []string
		for _, f := range u.Stack(c.pid, c.stack) {
			if f.Name == "" {
				f.Name = "-"
			}
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestReadBeforeForked reports the fork of a process after its memory map has been read,
// which shows the parent's program. There was no earlier process with the same ID, so the
// names of its own program are not in doubt.
func TestReadBeforeForked(t *testing.T) {
	first, second := objects(t)
	const pid, parent = 1 << 21, 1<<21 + 1
	for _, c := range []struct {
		name      string
		read      func(u *User, f Found)
		forkedAt  uint64 // the map is read at 1000
		ambiguous int
	}{
		{"added", (*User).Add, 900, 0},
		{"renewed", (*User).Renew, 900, 0},
		{"another process", (*User).Add, 1100, 1},
	} {
		u := NewUser(View{})
		u.Mapped(parent, first)
		found := Found{pid: pid, start: "1", at: 1000}
		found.maps = u.procs[parent].current().maps
		c.read(u, found)
		u.Forked(pid, parent, c.forkedAt)
		u.Executed(pid)
		u.Mapped(pid, second)
		if f := u.Lookup(pid, 0x400000); f[0].Name != "second_a" || u.Ambiguous() != c.ambiguous {
			t.Errorf("%s: %v, %d ambiguous IDs, want second_a and %d", c.name, f, u.Ambiguous(), c.ambiguous)
		}
	}
}

// TestCalls looks up stacks in files that have functions at the same addresses. The one whose
// calls fit the stack is taken, though another one was mapped later.
func TestCalls(t *testing.T) {
	const text = `
#define F(name, code) __asm__(".globl " #name "\n.type " #name ",@function\n.p2align 8\n" #name ": " code "\n.fill 100\n.size " #name ",.-" #name);
`
	object := func(functions string) Mapping {
		return objectAt(t, program(t, text+functions, "-x", "c", "-shared", "-nostdlib", "-Wl,-Bsymbolic"), 0x400000)
	}
	direct := object(`F(direct_a, "call direct_b") F(direct_b, "ret")`)
	through := object(`F(through_a, "nop; nop; nop; call *%rax") F(through_b, "ret")`)
	other := object(`F(other_a, "call other_a") F(other_b, "ret")`)
	none := object(`F(none_a, "nop; nop; nop; nop; nop; nop") F(none_b, "ret")`)
	const a, b = 0x400000, 0x400100
	for _, c := range []struct {
		maps []Mapping
		want string
		tie  int
	}{
		{[]Mapping{direct, none}, "direct_b direct_a", 0},
		{[]Mapping{none, direct}, "direct_b direct_a", 0},
		{[]Mapping{through, none}, "through_b through_a", 0},
		{[]Mapping{direct, other}, "direct_b direct_a", 0},
		{[]Mapping{direct, none, other, none}, "direct_b direct_a", 0},
		{[]Mapping{through, other}, "other_b other_a", 1},
	} {
		u := NewUser(View{ProcRoot: t.TempDir()})
		const pid = 1 << 20
		for _, m := range c.maps {
			u.Mapped(pid, m)
		}
		var names []string
		for _, f := range u.Stack(pid, []uint64{b, a + 5}) {
			names = append(names, f.Name)
		}
		if got := strings.Join(names, " "); got != c.want || u.Ambiguous() != c.tie {
			t.Errorf("%q with %d ties, want %q with %d", got, u.Ambiguous(), c.want, c.tie)
		}
	}
}

// TestReplacedFile maps a file that no longer exists, or that has the name or inode of
// another file. A lookup must return no names rather than wrong ones.
func TestReplacedFile(t *testing.T) {
	first, second := objects(t)
	const pid = 1 << 28
	name := func(u *User, pid int, m Mapping) string {
		u.Mapped(pid, m)
		return u.Stack(pid, []uint64{m.Start})[0].Name
	}
	u := NewUser(View{})
	other := first
	other.Path = second.Path
	if got := name(u, pid, other); got != "" {
		t.Errorf("a file that was replaced has %q", got)
	}
	if got := name(u, pid+1, first); got != "first_a" {
		t.Errorf("the first file has %q", got)
	}
	// Same name and inode, but other contents.
	text, err := os.ReadFile(second.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first.Path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	rewritten := objectAt(t, first.Path, first.Start)
	if got := name(u, pid+2, rewritten); got != "second_a" {
		t.Errorf("the file with new contents has %q", got)
	}
	if got := u.Stack(pid+1, []uint64{first.Start})[0].Name; got != "first_a" {
		t.Errorf("the process that mapped the old contents has %q", got)
	}
	os.Remove(first.Path)
	if got := name(u, pid+3, rewritten); got != "second_a" {
		t.Errorf("a deleted file that was read has %q", got)
	}
	gone := second
	gone.Path = filepath.Join(t.TempDir(), "none")
	if got := name(u, pid+4, gone); got != "" {
		t.Errorf("no file has %q", got)
	}
}

// TestStrippedCopy looks addresses up in a program and in a stripped copy of it, in both orders.
// Once both are known, both have the names.
func TestStrippedCopy(t *testing.T) {
	const text = "__asm__(\".type hidden,@function\\nhidden: ret\\n.size hidden,.-hidden\");"
	whole := program(t, text, "-x", "c", "-shared", "-nostdlib", "-Wl,--build-id")
	stripped := filepath.Join(t.TempDir(), "stripped")
	if out, err := exec.Command("strip", "-s", "-o", stripped, whole).CombinedOutput(); err != nil {
		t.Skipf("needs strip: %v\n%s", err, out)
	}
	const pid = 1 << 28
	for _, files := range [][]string{{whole, stripped}, {stripped, whole}} {
		u := NewUser(View{})
		look := func(i int) string {
			m := objectAt(t, files[i], 0x400000)
			u.Mapped(pid+i, m)
			return u.Stack(pid+i, []uint64{m.Start})[0].Name
		}
		for _, i := range []int{0, 1, 0} {
			if got := look(i); got != "hidden" && (files[i] == whole || i == 1) {
				t.Errorf("%s has %q", filepath.Base(files[i]), got)
			}
		}
		if got := look(0); got != "hidden" {
			t.Errorf("at last, %s has %q", filepath.Base(files[0]), got)
		}
	}
}
