/**
 * Questions that come faster than answers: at most one is under way, and when it is answered the newest that waits goes
 * next. What was asked between the two is never asked at all.
 */
export class Latest<Question, Answer> {
  private waiting: { readonly question: Question } | undefined;
  private underWay = false;
  private working = false;

  constructor(
    private readonly ask: (question: Question) => Promise<Answer>,
    private readonly answered: (question: Question, answer: Answer) => void,
    private readonly failed: (question: Question, reason: string) => void,
  ) {}

  /** Whether an answer is still to come. */
  get isBusy(): boolean {
    return this.underWay || this.waiting !== undefined;
  }

  want(question: Question): void {
    this.waiting = { question };
    if (!this.working) void this.work();
  }

  /** What waits is not asked any more; what is under way is still answered. */
  forget(): void {
    this.waiting = undefined;
  }

  private async work(): Promise<void> {
    this.working = true;
    for (let next = this.take(); next !== undefined; next = this.take()) await this.settle(next.question);
    this.working = false;
  }

  private async settle(question: Question): Promise<void> {
    this.underWay = true;
    let answer: Answer;
    try {
      answer = await this.ask(question);
    } catch (error) {
      this.underWay = false;
      this.failed(question, error instanceof Error ? error.message : String(error));
      return;
    }
    this.underWay = false;
    this.answered(question, answer);
  }

  private take(): { readonly question: Question } | undefined {
    const { waiting } = this;
    this.waiting = undefined;
    return waiting;
  }
}
