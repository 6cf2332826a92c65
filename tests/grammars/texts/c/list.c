/* A doubly linked list of strings. */

struct node {
    char *text;
    struct node *next, *previous;
};

struct list {
    struct node *first;
    struct node *last;
    size_t length;
    int (*compare)(const char *, const char *);
};

extern void *malloc(size_t size);
extern void free(void *pointer);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
char *strcpy(char *restrict to, const char *restrict from);

static struct node *new_node(const char *text)
{
    struct node *node = malloc(sizeof *node);

    if (!node)
        return 0;
    node->text = malloc(strlen(text) + 1);
    if (node->text == 0) {
        free(node);
        return 0;
    }
    strcpy(node->text, text);
    node->next = node->previous = 0;
    return node;
}

void list_init(struct list *list, int compare(const char *, const char *))
{
    list->first = list->last = (void *)0;
    list->length = 0u;
    list->compare = compare ? compare : strcmp;
}

int list_append(struct list *list, const char *text)
{
    struct node *node;

    if ((node = new_node(text)) == 0)
        return -1;
    if (list->last) {
        list->last->next = node;
        node->previous = list->last;
    } else
        list->first = node;
    list->last = node;
    return (int)++list->length;
}

struct node *list_find(const struct list *list, const char *text)
{
    for (struct node *node = list->first; node; node = node->next)
        if (list->compare(node->text, text) == 0)
            return node;
    return 0;
}

void list_remove(struct list *list, struct node *node)
{
    // Unlink on both sides, then let go of the memory.
    if (node->previous) node->previous->next = node->next;
    else list->first = node->next;
    if (node->next) node->next->previous = node->previous;
    else list->last = node->previous;
    list->length--;
    free(node->text), free(node);
}

void list_clear(struct list *list)
{
    struct node *node = list->first, *next;

    while (node) {
        next = node->next;
        free(node->text);
        free(node);
        node = next;
    }
    *list = (struct list){.compare = list->compare};
}
