package output

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// Pcapng writes packets to a file that tcpdump and Wireshark read. The format is that of
// draft-ietf-opsawg-pcapng: blocks with a type, their length, and the length again at the
// end. Every interface has a block before its first packet.
//
// tcpdump reads only files in which all packets have the same type of header. So if some
// packets do not start with an Ethernet header, all have Linux's "cooked" header instead,
// as with tcpdump -i any.
type Pcapng struct {
	w      io.Writer
	snap   int
	cooked bool
	ifaces map[int]uint32 // index in the file by the interface's number
	buf    []byte
}

// maxAdded is the maximum number of bytes that are added to the captured bytes of a
// packet: a VLAN tag and a cooked header.
const maxAdded = 4 + 16

// Types of blocks and of headers, and options of blocks.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6

	linkEthernet = 1
	linkCooked   = 113 // LINKTYPE_LINUX_SLL

	optApp        = 4 // of a section: the name of the program
	optName       = 2 // of an interface
	optResolution = 9 // of an interface: the unit of times, as a power of ten
	optFlags      = 2 // of a packet: its direction
)

// NewPcapng begins a file of packets, of which at most snap bytes each are captured. If
// ethernet is set, all of them start with an Ethernet header. app is the name of the
// program that writes it.
func NewPcapng(w io.Writer, snap int, ethernet bool, app string) (*Pcapng, error) {
	p := &Pcapng{w: w, snap: snap, cooked: !ethernet, ifaces: map[int]uint32{}}
	le := binary.LittleEndian
	return p, p.block(blockSection, func(b []byte) []byte {
		b = le.AppendUint32(b, 0x1a2b3c4d) // the byte order
		b = le.AppendUint32(b, 1)          // version 1.0
		b = le.AppendUint64(b, ^uint64(0)) // the section's length: not known
		b = appendOption(b, optApp, app)   //
		return le.AppendUint32(b, 0)       // no more options
	})
}

// block writes a block. body appends what is between its lengths.
func (p *Pcapng) block(typ uint32, body func(b []byte) []byte) error {
	le := binary.LittleEndian
	b := le.AppendUint32(p.buf[:0], typ)
	b = body(le.AppendUint32(b, 0))
	b = le.AppendUint32(b, uint32(len(b)+4))
	le.PutUint32(b[4:], uint32(len(b)))
	p.buf = b
	_, err := p.w.Write(b)
	return err
}

// appendOption appends an option of a block.
//
//go:noinline
func appendOption(b []byte, code uint16, value string) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

// pad appends zeros up to a multiple of 4.
func pad(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

// Packet writes a packet.
func (p *Pcapng) Packet(k Packet) error {
	iface, err := p.iface(k.Iface)
	if err != nil {
		return err
	}
	data, length := k.Data, k.Len
	if k.Tag != 0 && len(data) >= 14 {
		data, length = withTag(data, k.Tag), length+4
	}
	if p.cooked {
		n := len(data)
		data = cooked(k, data)
		length += len(data) - n
	}
	le := binary.LittleEndian
	return p.block(blockPacket, func(b []byte) []byte {
		ns := uint64(k.Time.UnixNano())
		b = le.AppendUint32(b, iface)
		b = le.AppendUint32(b, uint32(ns>>32))
		b = le.AppendUint32(b, uint32(ns))
		b = le.AppendUint32(b, uint32(len(data)))
		b = le.AppendUint32(b, uint32(max(length, len(data))))
		b = pad(append(b, data...))
		if dir := map[string]uint32{"ingress": 1, "egress": 2}[k.Dir]; dir != 0 {
			b = appendOption(b, optFlags, string(le.AppendUint32(nil, dir)))
			b = le.AppendUint32(b, 0)
		}
		return b
	})
}

// iface returns the index of an interface in the file, after writing its block if this is
// its first packet.
func (p *Pcapng) iface(number int) (uint32, error) {
	if n, ok := p.ifaces[number]; ok {
		return n, nil
	}
	name := fmt.Sprintf("interface %d", number)
	if ifc, err := net.InterfaceByIndex(number); err == nil {
		name = ifc.Name
	}
	n := uint32(len(p.ifaces))
	p.ifaces[number] = n
	le := binary.LittleEndian
	return n, p.block(blockInterface, func(b []byte) []byte {
		link := uint16(linkEthernet)
		if p.cooked {
			link = linkCooked
		}
		b = le.AppendUint16(b, link)
		b = le.AppendUint16(b, 0)
		b = le.AppendUint32(b, uint32(p.snap+maxAdded))
		b = appendOption(b, optName, name)
		b = appendOption(b, optResolution, "\x09") // nanoseconds
		return le.AppendUint32(b, 0)
	})
}

// withTag returns an Ethernet frame with a VLAN tag, which the kernel had removed.
func withTag(frame []byte, tag uint32) []byte {
	out := append([]byte(nil), frame[:12]...)
	out = binary.BigEndian.AppendUint32(out, tag)
	return append(out, frame[12:]...)
}

// cooked returns a packet with the header of LINKTYPE_LINUX_SLL in place of an Ethernet
// header, if it has one. It keeps only the sender's Ethernet address.
func cooked(k Packet, data []byte) []byte {
	const toUs, broadcast, multicast, fromUs = 0, 1, 2, 4
	const ether, none = 1, 0xfffe // ARPHRD_ETHER, ARPHRD_NONE
	kind, hardware, proto, address := uint16(toUs), uint16(none), k.Protocol, []byte(nil)
	if k.Ethernet && len(data) >= 14 {
		hardware, proto, address = ether, binary.BigEndian.Uint16(data[12:]), data[6:12]
		switch {
		case string(data[:6]) == "\xff\xff\xff\xff\xff\xff":
			kind = broadcast
		case data[0]&1 != 0:
			kind = multicast
		}
		if proto < 0x600 { // a length: the header of IEEE 802.2 follows
			proto = 4
		}
		data = data[14:]
	}
	if k.Dir == "egress" {
		kind = fromUs
	}
	be := binary.BigEndian
	out := be.AppendUint16(nil, kind)
	out = be.AppendUint16(out, hardware)
	out = be.AppendUint16(out, uint16(len(address)))
	out = append(append(out, address...), make([]byte, 8-len(address))...)
	out = be.AppendUint16(out, proto)
	return append(out, data...)
}
