package value

import "strconv"

// appendTo appends a stack with every frame on a line of its own, between line
// ends that separate it from other text.
func (v Stack) appendTo(b []byte) []byte {
	indent := "        "
	switch v.Mode {
	case "perf":
		indent = "\t"
	case "raw", "build_id":
		indent = ""
	}
	b = append(b, '\n')
	for i := range v.Frames {
		f := &v.Frames[i]
		if f.Inlined && (!v.Debug || v.Mode == "raw") {
			continue
		}
		b = append(b, indent...)
		b = appendFrame(b, &v, f)
		b = append(b, '\n')
	}
	if v.Missing != "" {
		b = append(append(append(b, indent...), v.Mark()...), '\n')
	}
	return b
}

// Mark returns the text that stands for the missing frames, or "" if none is missing.
//
//go:noinline
func (v Stack) Mark() string {
	switch {
	case v.Missing == "":
		return ""
	case len(v.Frames) == 0:
		return "[" + v.Missing + "]"
	}
	return "[incomplete: " + v.Missing + "]"
}

func appendFrame(b []byte, v *Stack, f *Frame) []byte {
	switch v.Mode {
	case "raw":
		return strconv.AppendUint(b, f.Addr, 16)
	case "build_id":
		if f.BuildID == "" {
			return strconv.AppendUint(b, f.Addr, 16)
		}
		b = append(append(b, f.BuildID...), ' ')
		return appendHex(b, f.InFile)
	case "perf":
		b = append(strconv.AppendUint(b, f.Addr, 16), ' ')
		b = appendPlace(b, f)
		switch {
		case f.Inlined:
			b = append(b, " (inlined)"...)
		case v.Kernel:
		case f.Module == "":
			b = append(b, " ([unknown])"...)
		default:
			b = append(append(append(b, " ("...), f.Module...), ')')
		}
		return b
	}
	if f.Inlined {
		b = append(b, "[inlined] "...)
	}
	b = appendPlace(b, f)
	if f.Name == "" && f.BuildID != "" { // the information that is needed to find the name later
		b = append(append(append(b, " ("...), f.BuildID...), '+')
		b = append(appendHex(b, f.InFile), ')')
	}
	if v.Debug {
		b = AppendSource(b, f)
	}
	return b
}

// appendPlace appends the function and the offset in it, or the address.
func appendPlace(b []byte, f *Frame) []byte {
	switch {
	case f.Name == "" && f.Addr == 0:
		return append(b, '0')
	case f.Name == "":
		return appendHex(b, f.Addr)
	case f.Inlined:
		return append(b, f.Name...)
	}
	return strconv.AppendUint(append(append(b, f.Name...), '+'), f.Offset, 10)
}

// AppendSource appends the source line of a frame, if it is known.
func AppendSource(b []byte, f *Frame) []byte {
	if f.File == "" {
		return b
	}
	return strconv.AppendInt(append(append(append(b, '@'), f.File...), ':'), int64(f.Line), 10)
}

func appendHex(b []byte, n uint64) []byte { return strconv.AppendUint(append(b, "0x"...), n, 16) }
