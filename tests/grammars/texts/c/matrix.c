static const double epsilon = 1e-9;

double fabs(double x);
double sqrt(double x);
int printf(const char *format, ...);

enum status { OK = 0, SINGULAR = -1, BAD_SHAPE = -2 };

struct matrix {
    int rows, columns;
    double values[16][16];
};

static double dot(int n, const double *a, int stride_a, const double *b, int stride_b)
{
    double sum = 0.;
    for (int i = 0; i < n; ++i)
        sum += a[i * stride_a] * b[i * stride_b];
    return sum;
}

enum status multiply(const struct matrix *a, const struct matrix *b, struct matrix *result)
{
    if (a->columns != b->rows || a->rows > 16 || b->columns > 16)
        return BAD_SHAPE;
    result->rows = a->rows;
    result->columns = b->columns;
    for (int i = 0; i < a->rows; i++) {
        for (int j = 0; j < b->columns; j++)
            result->values[i][j] = dot(a->columns, a->values[i], 1, &b->values[0][j], 16);
    }
    return OK;
}

/* Gaussian elimination with partial pivoting; the right-hand side becomes the solution. */
enum status solve(struct matrix *m, double *right)
{
    int n = m->rows;

    for (int column = 0; column < n; column++) {
        int pivot = column;
        for (int row = column + 1; row < n; row++)
            if (fabs(m->values[row][column]) > fabs(m->values[pivot][column]))
                pivot = row;
        if (fabs(m->values[pivot][column]) < epsilon)
            goto singular;
        if (pivot != column) {
            double swap;
            for (int k = 0; k < n; k++) {
                swap = m->values[pivot][k];
                m->values[pivot][k] = m->values[column][k];
                m->values[column][k] = swap;
            }
            swap = right[pivot], right[pivot] = right[column], right[column] = swap;
        }
        for (int row = column + 1; row < n; row++) {
            double factor = m->values[row][column] / m->values[column][column];
            for (int k = column; k < n; k++)
                m->values[row][k] -= factor * m->values[column][k];
            right[row] -= factor * right[column];
        }
    }
    for (int row = n - 1; row >= 0; row--) {
        for (int k = row + 1; k < n; k++)
            right[row] -= m->values[row][k] * right[k];
        right[row] /= m->values[row][row];
    }
    return OK;

singular:
    printf("singular: %d rows\n", n);
    return SINGULAR;
}

double norm(const double *v, int n) { return n > 0 ? sqrt(dot(n, v, 1, v, 1)) : 0.0; }

int main(void)
{
    struct matrix m = {2, 2, {{4.0, 1.0}, {1.0, 3.0}}};
    double right[] = {1.0, 2.0};
    enum status status = solve(&m, right);

    if (status == OK)
        printf("%g %g (norm %.3f)\n", right[0], right[1], norm(right, sizeof right / sizeof right[0]));
    return status == OK ? 0 : 1;
}
