struct inner {
	int a;
	long b;
};

enum colour { red, green = 7 };

union both {
	int i;
	float f;
	char c[8];
};

struct node {
	struct node *next;
	struct inner in;
	enum colour col;
	union both u;
	int list[3];
	unsigned bits : 3;
};

typedef struct {
	short s1, s2;
} pair;

int other(struct node *p, pair *q);
