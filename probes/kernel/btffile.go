package kernel

import (
	"bytes"
	"debug/elf"
	"errors"
	"os"

	"github.com/gotrace/gotrace/lang/types"
)

// TypesIn returns a function that looks up types in a file, by their C names. The file is an
// ELF file with a section .BTF, or has BTF's raw format.
func TypesIn(path string) (func(name string) (*types.Type, error), error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
		f, err := elf.NewFile(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		section := f.Section(".BTF")
		if section == nil {
			return nil, errors.New("the file has no section .BTF")
		}
		if data, err = section.Data(); err != nil {
			return nil, err
		}
	}
	b, err := newBlob(path, data, nil)
	if err != nil {
		return nil, err
	}
	s := &btfSet{vmlinux: b}
	s.modules.New = func() []*blob { return nil }
	return s.typeByName, nil
}
