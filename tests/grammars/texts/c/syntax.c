// Every corner of the subset that one text can hold.
struct tag;
union { int a; } u;
enum colour { red, green = 2, blue = green << 1 + 3, } const c = blue;
enum { one = 1 } ;
struct flags {
    unsigned ready : 1, : 3, kind : 4;
    signed char const volatile letter;
    struct { int x, y; } at;
    union { long long int l; double d; } *either;
    int (*callbacks[4])(int, void *), plain, *pointer, array[10][2];
    enum colour colour;
    FILE *file;
};
void v(void);
_Bool b; char ch; signed char sc; unsigned char uc;
short s; short int si; signed short ss; unsigned short int usi;
int i; signed sig; signed int sint; unsigned un; unsigned int ui;
long l; long int li; unsigned long ul; signed long int sli;
long long ll; unsigned long long int ulli; float f; double d; long double ld;
double _Complex dc; long double _Complex ldc;
size_t size; int32_t i32; uint8_t const *bytes; bool flag; wchar_t wide = L'w';
static const volatile int scv = 1, *const pointer = &scv, **pp, *restrict rp;
int const static order; char const *const *argv;
extern inline int add(int a, int b);
int array[] = {1, 2, [5] = 3, [2 + 4] = 4,}, matrix[2][3] = {{1}, {[1] = 2, 3}};
struct point { int x, y; } origin = {0, 0}, points[] = {{.x = 1, .y = 2}, {.y = 3}, [3].x = 4, [4] = {5}};
char text[] = "text", *more = "two " "parts\n" "\x41\101\0\"\\\u00e9";
wchar_t *wide_text = L"wide" L"\t";
int (parenthesized), (*function_pointer)(int), (*array_pointer)[3], *array_of_pointers[3];
int (*(*nested)(int (*)(int), int [], int *[2]))(void), f1(), (f2)(void), *f3(int), (*f4(int x))(char);
int variadic(const char *format, ...), abstract(int, char *, int (*)(void), int [], int [3], struct point, int (*)[2]);
int numbers = 0 + 00 + 017 + 1u + 2U + 3l + 4L + 5ul + 6LL + 7ull + 8ULL + 9lu + 0xfF + 0X0aUL;
double floats = 1. + .5 + 1.5 + 1e3 + 1E+3 + 1.e-3 + .5e1 + 1.0f + 2.0L + 0x1p3 + 0x.8p-1 + 0x1.8P+2f;
int characters = 'a' + '"' + '\'' + '\\' + '\n' + '\0' + '\12' + '\123' + '\x7f' + '?' + '\?' + L'x';

int (returns_int)(int a) { return a; }
int *returns_pointer(void) { return 0; }
static inline int (*returns_function(int which))(int) { return which ? returns_int : 0; }
int (*(returns_array_pointer)(void))[3] { return 0; }
void empty(void) {}

int statements(int argc, char *argv[])
{
    int i = 0, n, *p = &i;
    static int counter;
    struct point here = {.x = 1}, *there = &here;
    ;
    {}
    { int i; { int i = 1; i; } }
    i = 1; i += 2; i -= 3; i *= 4; i /= 5; i %= 6; i <<= 1; i >>= 1; i &= 7; i ^= 8; i |= 9;
    *p = p[0] = *(p + 1) = (*p)++, ++*p, p--, --p, i = -i, i = +i, i = ~i, i = !i, i = !!i, i = - -i;
    i = i + 1 - 2 * 3 / 4 % 5 << 1 >> 2 & 3 ^ 4 | 5; i = i && n || !i && (n | i) == 1;
    i = i < 1 == i > 2 != i <= 3 == i >= 4; i = a_name ? i : n ? i, n : p ? 1 : 2;
    i = i & n && i & &*p != 0; i = i / *p; i = i/2;
    i = (int)1.5 + (unsigned char)n + *(int *)p + (long)(short)i + (int)-1 + (int)(i) + (size_t)sizeof i;
    i = sizeof(int) + sizeof (int *) + sizeof *p + sizeof(i) + sizeof (struct point) * 2 + sizeof(int[3]) + sizeof (i)++;
    i = here.x + there->y + (*there).x + points[1].y + points[i].x++ + f1()[p] + f3(1)[2] + argv[1][0];
    i = nested(returns_int, array, 0)(), (*function_pointer)(1), function_pointer(1, 2), variadic("%d\n", i);
    i = ((struct point){1, 2}).x + (int[]){1, 2, 3}[1] + sizeof (int){1} + (*&(struct point){.y = 1}).y;
    if (i) ;
    if (i) i = 1; else i = 2;
    if (i) if (n) i = 1; else i = 2; else i = 3;
    if (i) { i = 1; } else if (n) { i = 2; } else { i = 3; }
    if (i) while (n) if (i) n = 1; else n = 2;
    if (i) for (;;) if (i) n = 1;
    if (i) label0: if (n) i = 0;
    while (i--) ;
    while (i) { if (i == 1) break; else continue; }
    do i--; while (i > 0);
    do { if (i) n--; } while (n);
    for (;;) break;
    for (i = 0; i < 10; i++) n += i;
    for (i = 0, n = 1; ; ) break;
    for (int j = 0, k = 1; j < k; ++j, --k) { n = j; }
    for (struct point *q = there; q; q = 0) if (q) for (;;) break; else break;
    switch (i) {
    case 0: n = 1; break;
    case 1: case 2 + 3: { n = 2; }
    default: n = 3;
    }
    switch (i) case 1: if (n) i = 2;
    switch (i) default: if (n) i = 2; else i = 3;
label:
    goto label;
label1: label2: i = 1;
    int late = i;
    return late ? 0 : (i, n);
}
/* The end: ** stars *** and / slashes */
