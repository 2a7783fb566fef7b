package binary

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTargets checks that each indirect function of the C library has implementations
// in it.
func TestTargets(t *testing.T) {
	var libs []string
	for _, pattern := range []string{"/lib/*/libc.so.6", "/lib64/libc.so.6", "/lib/*/libm.so.6"} {
		found, _ := filepath.Glob(pattern)
		libs = append(libs, found...)
	}
	if len(libs) == 0 {
		t.Skip("there is no C library that has them")
	}
	indirect := 0
	for _, lib := range libs {
		x, err := Open(lib)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range x.Functions(func([]byte) bool { return true }) {
			list, elsewhere := x.Targets(s)
			if !s.Indirect {
				if len(list) != 1 || list[0] != s || elsewhere {
					t.Errorf("%s: calls of %s get to %v", lib, s.Name, list)
				}
				continue
			}
			indirect++
			// One is a resolver that has a symbol only for its side effects.
			if len(list) == 0 && s.Name != "__x86_cacheinfo" {
				t.Errorf("%s: no implementation of %s was found", lib, s.Name)
			}
			for _, impl := range list {
				if impl.Name != s.Name || impl.Addr-s.Addr < s.Size {
					t.Errorf("%s: %v implements %v", lib, impl, s)
				}
			}
		}
	}
	if indirect == 0 {
		t.Errorf("none of %v has an indirect function", libs)
	}
}

// TestAddresses decodes the code of resolvers as compilers generate it.
func TestAddresses(t *testing.T) {
	amd64 := []byte{
		0xf3, 0x0f, 0x1e, 0xfa, // endbr64
		0x48, 0x8d, 0x05, 0x10, 0, 0, 0, // lea 0x10(%rip), %rax
		0x48, 0x8d, 0x15, 0xf0, 0xff, 0xff, 0xff, // lea -0x10(%rip), %rdx
		0xb8, 0x00, 0x10, 0x40, 0x00, // mov $0x401000, %eax
		0xc3, // ret
	}
	r := referencesAMD64(amd64, 0x1000)
	if list := r.addrs; len(list) != 3 || list[0] != 0x101b || list[1] != 0x1002 || list[2] != 0x401000 || r.remote {
		t.Errorf("%+v", r)
	}
	if r := referencesAMD64([]byte{0xff, 0x90, 0x28, 0x03, 0, 0, 0xc3}, 0); !r.remote { // call *0x328(%rax)
		t.Error("the call was not seen")
	}
	more := []byte{
		0x48, 0x8b, 0x05, 0x10, 0, 0, 0, // mov 0x10(%rip), %rax
		0xe8, 0x00, 0x01, 0, 0, // call
		0xe9, 0x00, 0x02, 0, 0, // jmp
		0x74, 0xfe, // je to itself
	}
	if r := referencesAMD64(more, 0x1000); len(r.slots) != 1 || r.slots[0] != 0x1017 || len(r.calls) != 1 || r.calls[0] != 0x110c || len(r.jumps) != 1 || r.jumps[0] != 0x1211 {
		t.Errorf("%+v", r)
	}
	arm64 := []byte{
		0x00, 0x00, 0x00, 0xb0, // adrp x0, one page ahead
		0x00, 0x40, 0x04, 0x91, // add x0, x0, #0x110
		0xa1, 0xff, 0xff, 0x10, // adr x1, -12
		0x00, 0x00, 0x3f, 0xd6, // blr x0
		0x00, 0x04, 0x40, 0xf9, // ldr x0, [x0, #8]
		0x02, 0x00, 0x00, 0x94, // bl +8
		0x40, 0x00, 0x00, 0x14, // b +256
	}
	r = referencesARM64(arm64, 0x1000)
	if len(r.addrs) != 2 || r.addrs[0] != 0x2110 || r.addrs[1] != 0xffc || !r.remote ||
		len(r.slots) != 1 || r.slots[0] != 0x2008 || len(r.calls) != 1 || r.calls[0] != 0x101c || len(r.jumps) != 1 || r.jumps[0] != 0x1118 {
		t.Errorf("%+v", r)
	}
}

// resolvers is a program with typical resolvers.
const resolvers = `
#define IMPL(name, n) __attribute__((noinline)) QUALIFIER int name(int x) { return x + n; }
typedef int (*fn)(int);
extern volatile int level;
volatile int level;
IMPL(plain_a, 1) IMPL(plain_b, 2) IMPL(plain_c, 3)
static __attribute__((noinline)) fn choose(void) { return level ? plain_a : level > 2 ? plain_c : plain_b; }
static fn in_code(void) { if (level == 1) return plain_a; if (level == 2) return plain_b; return plain_c; }
static fn helped(void) { return choose(); }
int direct(int) __attribute__((ifunc("in_code")));
int calling(int) __attribute__((ifunc("helped")));
__attribute__((target_clones("avx2", "sse4.2", "default"))) int cloned(int x) { int s = 0; for (int i = 0; i < x; i++) s += i * x; return s; }
int main(void) { return direct(1) + calling(2) + cloned(3); }
`

// TestResolvers compiles resolvers in several ways.
func TestResolvers(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "r.c")
	if err := os.WriteFile(src, []byte(resolvers), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, qualifier := range []string{"static", "", "__attribute__((visibility(\"hidden\")))"} {
		for _, flags := range []string{"-O0", "-O2", "-O0 -static", "-O2 -static", "-O2 -no-pie", "-O0 -fPIC -shared", "-O2 -fPIC -shared", "-O2 -fcf-protection=full"} {
			out := filepath.Join(dir, "r")
			args := append(strings.Fields(flags), "-DQUALIFIER="+qualifier, "-o", out, src)
			if msg, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", flags, err, msg)
			}
			x, err := Open(out)
			if err != nil {
				t.Fatal(err)
			}
			plain := []string{"plain_a", "plain_b", "plain_c"}
			for name, want := range map[string][]string{"direct": plain, "calling": plain, "cloned": {"cloned.avx2", "cloned.default", "cloned.sse4_2"}} {
				var got []string
				list, elsewhere := x.Targets(x.Named(name)[0])
				for _, impl := range list {
					s, _ := x.Covering(impl.Addr)
					parts := strings.Split(s.Name, ".")
					if n := len(parts); n > 2 { // GCC numbers clones
						parts = parts[:n-1]
					}
					got = append(got, strings.Join(parts, "."))
				}
				slices.Sort(got)
				if !slices.Equal(got, want) || elsewhere {
					t.Errorf("%s %s: %s is one of %v (%v), want %v", qualifier, flags, name, got, elsewhere, want)
				}
			}
			x.Close()
		}
	}
}

// TestSymbolAt looks up symbols by numbers that relocations of damaged files may have.
func TestSymbolAt(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	x, err := Open(self)
	if err != nil {
		t.Fatal(err)
	}
	for table, s := range x.elf.Sections {
		for _, i := range []uint32{math.MaxUint32, math.MaxUint32 - 1, math.MaxUint32 / symSize, uint32(s.Size / symSize)} {
			if addr, ok := x.symbolAt(uint32(table), i); ok {
				t.Errorf("section %s has an entry %d: %#x", s.Name, i, addr)
			}
		}
	}
	if addr, ok := x.symbolAt(math.MaxUint32, 0); ok {
		t.Errorf("section %d has an entry: %#x", uint32(math.MaxUint32), addr)
	}
}
