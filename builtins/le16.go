package builtins

func le16() *Def { return byteReader("le16", 2, false) }
