package builtins

func le32() *Def { return byteReader("le32", 4, false) }
