struct plain {
	int a, b;
};

class owner {
public:
	explicit owner(int v) : p(v) {}
	owner(const owner &o) : p(o.p + 1) {}
	~owner() { p = 0; }
	int p;
};

template <class T> struct box {
	T val;
	plain pl;
	box *next;
};

extern "C" __attribute__((noipa)) int take(plain v, owner o, box<long> *b, plain &r)
{
	return v.a + o.p + b->val + r.b;
}

int main()
{
	plain p{1, 2};
	owner o(40);
	box<long> b{77, {3, 4}, nullptr};
	return take(p, o, &b, p) == 0;
}
