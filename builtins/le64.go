package builtins

func le64() *Def { return byteReader("le64", 8, false) }
