package binary

import "strings"

// USDTNote describes one static probe of a file.
type USDTNote struct {
	Provider, Name, Args string
	Addr, Semaphore      uint64 // virtual addresses; Semaphore 0: none
}

// USDTNotes returns the static probes of the file. They are the notes of type 3
// with owner "stapsdt" in .note.stapsdt. A note contains three addresses (the probe,
// the base, the semaphore) and three strings. The base is the address of
// .stapsdt.base when the note was written. If prelinking moved that section, the
// other addresses move by the same distance.
func (x *File) USDTNotes() []USDTNote {
	order := x.elf.ByteOrder
	data := x.bytesOf(x.section(".note.stapsdt"))
	base := uint64(0)
	if s := x.section(".stapsdt.base"); s != nil {
		base = s.Addr
	}
	var list []USDTNote
	for len(data) >= 12 {
		nameLen, descLen, typ := uint64(order.Uint32(data)), uint64(order.Uint32(data[4:])), order.Uint32(data[8:])
		descAt := 12 + (nameLen+3)&^3
		next := descAt + (descLen+3)&^3
		if descAt > uint64(len(data)) || descAt+descLen > uint64(len(data)) {
			break
		}
		owner, desc := string(data[12:12+nameLen]), data[descAt:descAt+descLen]
		data = data[min(next, uint64(len(data))):]
		if typ != 3 || owner != "stapsdt\x00" || len(desc) < 24 {
			continue
		}
		n := USDTNote{Addr: order.Uint64(desc), Semaphore: order.Uint64(desc[16:])}
		was := order.Uint64(desc[8:])
		text := strings.Split(string(desc[24:]), "\x00")
		if len(text) < 3 {
			continue
		}
		n.Provider, n.Name, n.Args = text[0], text[1], text[2]
		if base != 0 {
			n.Addr += base - was
			if n.Semaphore != 0 {
				n.Semaphore += base - was
			}
		}
		list = append(list, n)
	}
	return list
}
