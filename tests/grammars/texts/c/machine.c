/* A small stack machine, a reader of its assembler's tokens and a hash table of labels. */

enum opcode { HALT, PUSH, ADD, SUB, MUL, DIV, DUP, SWAP, JUMP, JUMP_IF, LOAD, STORE, PRINT, CALL, RET };

union cell {
    int64_t number;
    uint32_t halves[2];
    const char *text;
};

struct machine {
    union cell stack[256];
    union cell memory[64];
    uint16_t calls[32];
    uint8_t depth, call_depth;
    const uint8_t *code;
    size_t counter, length;
    unsigned running : 1, tracing : 1, error : 6;
    void (*print)(int64_t, void *), *context;
};

static int pop(struct machine *m, int64_t *value)
{
    if (m->depth == 0)
        return m->error = 1, 0;
    *value = m->stack[--m->depth].number;
    return 1;
}

static int push(struct machine *m, int64_t value)
{
    if (m->depth >= 255u) { m->error = 2; return 0; }
    m->stack[m->depth++].number = value;
    return !0;
}

static int64_t read_number(struct machine *m)
{
    int64_t value = 0;
    int shift = 0;
    uint8_t byte;

    do {
        if (m->counter >= m->length) { m->error = 3; break; }
        byte = m->code[m->counter++];
        value |= (int64_t)(byte & 0x7F) << shift;
        shift += 7;
    } while (byte & 0x80 && shift < 64);
    return (value >> 1) ^ -(value & 1LL);
}

int run(struct machine *m)
{
    int64_t a, b;

    m->running = 1;
    while (m->running && !m->error && m->counter < m->length) {
        enum opcode opcode = (enum opcode)m->code[m->counter++];
        switch (opcode) {
        case HALT:
            m->running = 0;
            break;
        case PUSH:
            push(m, read_number(m));
            break;
        case ADD: case SUB: case MUL: case DIV:
            if (!pop(m, &b) || !pop(m, &a))
                break;
            push(m, opcode == ADD ? a + b
                    : opcode == SUB ? a - b
                    : opcode == MUL ? a * b
                    : b ? a / b : (m->error = 4, 0));
            break;
        case DUP:
            if (pop(m, &a)) { push(m, a); push(m, a); }
            break;
        case SWAP:
            if (pop(m, &b) && pop(m, &a))
                push(m, b), push(m, a);
            break;
        case JUMP_IF:
            b = read_number(m);
            if (pop(m, &a) && a)
                m->counter = (size_t)b;
            break;
        case JUMP:
            m->counter = (size_t)read_number(m);
            break;
        case LOAD:
            push(m, m->memory[read_number(m) & 63].number);
            break;
        case STORE:
            if (pop(m, &a))
                m->memory[read_number(m) & 63].number = a;
            break;
        case PRINT:
            if (pop(m, &a) && m->print)
                (*m->print)(a, m->context);
            break;
        case CALL:
            if (m->call_depth >= 32) m->error = 5;
            else {
                b = read_number(m);
                m->calls[m->call_depth++] = (uint16_t)m->counter;
                m->counter = (size_t)b;
            }
            break;
        case RET:
            if (m->call_depth) m->counter = m->calls[--m->call_depth];
            else m->running = 0;
            break;
        default:
            m->error = 6;
        }
    }
    return m->error ? -1 : m->depth;
}

struct label { char name[24]; uint16_t at; struct label *next; };

static struct label *table[1 << 4];

static uint32_t hash(const char *text)
{
    uint32_t h = 2166136261u;
    while (*text) {
        h ^= (unsigned char)*text++;
        h *= 16777619U;
    }
    return h;
}

struct label *lookup(const char *name)
{
    struct label *label = table[hash(name) % (sizeof table / sizeof *table)];

    for (; label != (struct label *)0; label = label->next) {
        const char *a = label->name, *b = name;
        while (*a && *a == *b) ++a, ++b;
        if (*a == *b) return label;
    }
    return 0;
}

int next_token(const char **text, char *token, int size)
{
    const char *p = *text;
    int length = 0, kind;

again:
    while (*p == ' ' || *p == '\t' || *p == '\n') p++;
    if (*p == ';') {            // a comment of the assembler
        while (*p && *p != '\n') p++;
        goto again;
    }
    if (!*p) return 0;
    kind = (*p >= '0' && *p <= '9') || *p == '-' ? 'n' : 'w';
    do {
        if (length < size - 1)
            token[length++] = *p;
    } while (*++p != '\0' && *p != ' ' && *p != '\n' && *p != ';');
    token[length] = '\0';
    if (kind == 'w' && token[length - 1] == ':')
        token[--length] = 0, kind = 'l';
    *text = p;
    return kind;
}
