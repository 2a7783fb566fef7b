package binary

import (
	"path/filepath"
	"testing"
)

// Each indirect function of the C library has implementations in it.
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
			// One is a resolver that has a symbol for the sake of its effects.
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

// The code of resolvers as compilers write it.
func TestAddresses(t *testing.T) {
	amd64 := []byte{
		0xf3, 0x0f, 0x1e, 0xfa, // endbr64
		0x48, 0x8d, 0x05, 0x10, 0, 0, 0, // lea 0x10(%rip), %rax
		0x48, 0x8d, 0x15, 0xf0, 0xff, 0xff, 0xff, // lea -0x10(%rip), %rdx
		0xb8, 0x00, 0x10, 0x40, 0x00, // mov $0x401000, %eax
		0xc3, // ret
	}
	list, calls := addressesAMD64(amd64, 0x1000)
	if len(list) != 3 || list[0] != 0x101b || list[1] != 0x1002 || list[2] != 0x401000 || calls {
		t.Errorf("%#x, %v", list, calls)
	}
	if _, calls := addressesAMD64([]byte{0xff, 0x90, 0x28, 0x03, 0, 0, 0xc3}, 0); !calls { // call *0x328(%rax)
		t.Error("the call was not seen")
	}
	arm64 := []byte{
		0x00, 0x00, 0x00, 0xb0, // adrp x0, one page ahead
		0x00, 0x40, 0x04, 0x91, // add x0, x0, #0x110
		0xa1, 0xff, 0xff, 0x10, // adr x1, -12
		0x00, 0x00, 0x3f, 0xd6, // blr x0
	}
	list, calls = addressesARM64(arm64, 0x1000)
	if len(list) != 2 || list[0] != 0x2110 || list[1] != 0xffc || !calls {
		t.Errorf("%#x, %v", list, calls)
	}
}
